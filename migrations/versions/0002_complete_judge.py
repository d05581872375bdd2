"""Rounds, alerts, quarantines, distinct users, and what the judge reads besides tallies.

Revision 0002. Evidence that waits keeps waiting; analyses of the first schema stay readable as history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.String(128)
LIVE = sa.text("phase IN ('progressing', 'paused', 'rolling_back')")
UNFINISHED = sa.text("phase IN ('measuring', 'progressing', 'paused', 'rolling_back')")
NEW_TABLES = ("user_counts", "sampled_users", "quarantines", "alerts", "rounds", "constants")
ANALYSES = sa.table(
    "analyses",
    sa.column("rollout", KEY),
    sa.column("seq", BIG),
    sa.column("lacking", sa.JSON()),
    sa.column("evidence", sa.JSON()),
)
SAID = ("attempted", "delivered", "failed", "abandoned", "interrupted", "pending", "received")


def big(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def count(name: str) -> sa.Column:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")


def text(name: str, size: int) -> sa.Column:
    return sa.Column(name, sa.String(size), nullable=False, server_default=sa.text("''"))


def json(name: str, default: str) -> sa.Column:
    return sa.Column(name, sa.JSON(), nullable=False, server_default=sa.text(f"'{default}'"))


def upgrade() -> None:
    change_rollouts()
    create_rounds()
    create_alerts()
    create_users()
    change_evidence()
    change_analyses()
    with op.batch_alter_table("instances") as table:
        for name in SAID:
            table.add_column(count(name))


def change_rollouts() -> None:
    op.drop_index("uq_rollouts_live_flag", "rollouts")
    with op.batch_alter_table("rollouts") as table:
        table.drop_column("floor_permille")
        table.drop_column("constants")
        table.add_column(sa.Column("round", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("floor_ppm", sa.Integer()))
        table.add_column(sa.Column("constants", sa.String(32)))
        table.add_column(text("started_by", 128))
        table.add_column(sa.Column("approved", sa.Integer()))
        table.add_column(sa.Column("versions", sa.JSON()))
        table.add_column(big("approval_asked_ms", nullable=True))
        table.add_column(big("cool_until_ms", nullable=True))
        table.add_column(sa.Column("measured", sa.JSON()))
    op.create_index(
        "uq_rollouts_live_flag",
        "rollouts",
        ["flag_key"],
        unique=True,
        sqlite_where=UNFINISHED,
        postgresql_where=UNFINISHED,
    )


def create_rounds() -> None:
    op.create_table(
        "constants",
        sa.Column("digest", sa.String(32), primary_key=True),
        sa.Column("canonical", sa.Text(), nullable=False),
    )
    op.create_table(
        "rounds",
        sa.Column("rollout", KEY, nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("flag_key", KEY, nullable=False),
        sa.Column("canary", KEY, nullable=False),
        big("first_seq"),
        big("first_epoch"),
        sa.Column("constants", sa.String(32), nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("started_by", sa.String(128), nullable=False),
        big("started_ms"),
        count("control_failed"),
        count("control_total"),
        big("ended_ms", nullable=True),
        text("ended_as", 16),
        text("ended_by", 128),
        *(big(f"{name}_ms", nullable=True) for name in ("detected", "decided", "verified")),
        sa.Column("verification", sa.JSON()),
        sa.Column("shared", sa.Boolean(), nullable=False, server_default="0"),
        sa.Column("label", sa.Boolean()),
        text("labelled_by", 128),
        sa.Column("label_reason", sa.Text(), nullable=False, server_default=sa.text("''")),
        big("labelled_ms", nullable=True),
        sa.PrimaryKeyConstraint("rollout", "round"),
    )


def create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", BIG, primary_key=True, autoincrement=True),
        sa.Column("rollout", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        big("since_ms"),
        big("until_ms", nullable=True),
    )
    is_open = sa.text("until_ms IS NULL")
    op.create_index(
        "uq_alerts_open", "alerts", ["rollout", "name"], unique=True, sqlite_where=is_open, postgresql_where=is_open
    )
    op.create_table(
        "quarantines",
        sa.Column("flag_key", KEY, nullable=False),
        sa.Column("app_version", sa.String(200), nullable=False),
        sa.Column("rollout", KEY, nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        big("since_ms"),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("flag_key", "app_version"),
    )


def create_users() -> None:
    op.create_table(
        "sampled_users",
        sa.Column("rollout", KEY, nullable=False),
        big("epoch"),
        sa.Column("arm", sa.String(16), nullable=False),
        sa.Column("tag", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("rollout", "epoch", "arm", "tag"),
    )
    op.create_table(
        "user_counts",
        sa.Column("rollout", KEY, nullable=False),
        big("epoch"),
        *(count(name) for name in ("level", "canary", "control", "moved")),
        sa.PrimaryKeyConstraint("rollout", "epoch"),
    )


def change_evidence() -> None:
    with op.batch_alter_table("evidence_inbox") as table:
        table.add_column(text("instance", 128))
        table.add_column(text("users", 64))
    with op.batch_alter_table("judge_states") as table:
        table.add_column(big("evaluated_ms", nullable=True))
        table.add_column(count("errors"))


def change_analyses() -> None:
    with op.batch_alter_table("analyses") as table:
        table.alter_column("open", new_column_name="gauges")
        table.add_column(json("findings", "[]"))
        table.add_column(json("notes", "[]"))
        table.add_column(text("slot_digest", 32))
    with op.batch_alter_table("analyses") as table:  # rows from now on say all of it themselves
        for name in ("findings", "notes", "slot_digest"):
            table.alter_column(name, server_default=None)
    rewrite_analyses(newer)


def rewrite_analyses(turned: Callable[[sa.Row], dict[str, Any]]) -> None:
    """Give what the analyses say the form that this schema's release reads."""
    bind, here = op.get_bind(), ANALYSES.c
    change = sa.update(ANALYSES).where(here.rollout == sa.bindparam("of"), here.seq == sa.bindparam("at"))
    for rollout in bind.execute(sa.select(here.rollout).distinct()).scalars().all():
        rows = bind.execute(sa.select(ANALYSES).where(here.rollout == rollout)).all()
        bind.execute(change, [{"of": rollout, "at": row.seq, **turned(row)} for row in rows])


def newer(row: sa.Row) -> dict[str, Any]:
    return {
        "lacking": [{"name": "", "text": words} for words in row.lacking],
        "evidence": [{"guard": "", "stream": stream, **found} for stream, found in row.evidence.items()],
    }


def older(row: sa.Row) -> dict[str, Any]:
    counts = ("score", "line", "failed", "total")
    return {
        "lacking": [one["text"] for one in row.lacking],
        "evidence": {one["stream"]: {name: one[name] for name in counts} for one in row.evidence},
    }


def downgrade() -> None:
    rewrite_analyses(older)
    with op.batch_alter_table("instances") as table:
        for name in SAID:
            table.drop_column(name)
    with op.batch_alter_table("analyses") as table:
        for name in ("findings", "notes", "slot_digest"):
            table.drop_column(name)
        table.alter_column("gauges", new_column_name="open")
    with op.batch_alter_table("judge_states") as table:
        table.drop_column("evaluated_ms")
        table.drop_column("errors")
    with op.batch_alter_table("evidence_inbox") as table:
        table.drop_column("instance")
        table.drop_column("users")
    for name in NEW_TABLES:
        op.drop_table(name)
    op.drop_index("uq_rollouts_live_flag", "rollouts")
    with op.batch_alter_table("rollouts") as table:
        for name in ("measured", "cool_until_ms", "approval_asked_ms", "versions", "approved"):
            table.drop_column(name)
        table.drop_column("started_by")
        table.drop_column("floor_ppm")
        table.drop_column("constants")
        table.drop_column("round")
        table.add_column(sa.Column("floor_permille", sa.Integer()))
        table.add_column(sa.Column("constants", sa.Text()))
    op.create_index(
        "uq_rollouts_live_flag", "rollouts", ["flag_key"], unique=True, sqlite_where=LIVE, postgresql_where=LIVE
    )
