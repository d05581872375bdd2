"""The first schema.

Revision 0001. Written out, not taken from controller/storage/tables.py, which moves on; a test compares the two.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.String(128)
LIVE = sa.text("phase IN ('progressing', 'paused', 'rolling_back')")
TABLES = (
    "windows",
    "outcomes",
    "batches",
    "instance_arms",
    "instances",
    "outbox",
    "audit",
    "decisions",
    "judge_states",
    "analyses",
    "ledger",
    "open_units",
    "evidence_inbox",
    "snapshots",
    "rollouts",
    "flags",
    "tokens",
    "leases",
    "counters",
    "installation",
)


def column(name: str, kind: sa.types.TypeEngine, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, kind, nullable=nullable)


def big(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def count(name: str) -> sa.Column:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")


def numbered() -> sa.Column:
    return sa.Column("id", BIG, primary_key=True, autoincrement=True)


def upgrade() -> None:
    create_installation()
    create_flags()
    create_rollouts()
    create_evidence()
    create_judgement()
    create_trail()
    create_instances()
    create_pictures()
    op.execute("INSERT INTO counters (name, value) VALUES ('revision', 0)")
    op.execute("INSERT INTO leases (name, holder, term, expires_ms) VALUES ('leader', '', 0, 0)")


def create_installation() -> None:
    name = sa.String(64)
    op.create_table("installation", sa.Column("name", name, primary_key=True), column("value", sa.Text()))
    op.create_table("counters", sa.Column("name", name, primary_key=True), big("value"))
    op.create_table(
        "leases",
        sa.Column("name", name, primary_key=True),
        column("holder", KEY),
        big("term"),
        big("expires_ms"),
    )
    op.create_table(
        "tokens",
        sa.Column("prefix", sa.String(32), primary_key=True),
        column("digest", sa.String(64)),
        column("role", sa.String(16)),
        column("name", sa.String(100)),
        big("created_ms"),
        big("last_used_ms", nullable=True),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
    )


def create_flags() -> None:
    op.create_table(
        "flags",
        sa.Column("key", KEY, primary_key=True),
        column("variants", sa.JSON()),
        column("control", KEY),
        column("served", KEY),
        column("enabled", sa.Boolean()),
        column("description", sa.Text()),
        *(big(name) for name in ("version", "created_ms", "updated_ms")),
    )
    op.create_table(
        "snapshots",
        sa.Column("revision", sa.BigInteger(), primary_key=True, autoincrement=False),
        column("body", sa.LargeBinary()),
        column("etag", sa.String(64)),
        big("at_ms"),
    )


def create_rollouts() -> None:
    times = ("started", "stage_started", "paused", "detected", "decided", "verified", "ended")
    op.create_table(
        "rollouts",
        sa.Column("key", KEY, primary_key=True),
        column("flag_key", KEY),
        column("manifest", sa.JSON()),
        column("phase", sa.String(16)),
        column("stage", sa.Integer()),
        column("weight", sa.Integer()),
        big("epoch"),
        big("version"),
        column("floor_permille", sa.Integer(), nullable=True),
        column("constants", sa.Text(), nullable=True),
        big("created_ms"),
        *(big(f"{name}_ms", nullable=True) for name in times),
        big("revision", nullable=True),
        column("verification", sa.JSON(), nullable=True),
    )
    op.create_index(
        "uq_rollouts_live_flag", "rollouts", ["flag_key"], unique=True, sqlite_where=LIVE, postgresql_where=LIVE
    )


def create_evidence() -> None:
    op.create_table(
        "evidence_inbox",
        numbered(),
        column("rollout", KEY),
        big("epoch"),
        column("arm", sa.String(16)),
        column("stream", KEY),
        count("failed"),
        count("total"),
    )
    op.create_index("ix_evidence_inbox_rollout", "evidence_inbox", ["rollout"])
    op.create_table(
        "open_units",
        column("rollout", KEY),
        column("instance", KEY),
        column("arm", sa.String(16)),
        column("stream", KEY),
        count("open"),
        sa.PrimaryKeyConstraint("rollout", "instance", "arm", "stream"),
    )
    op.create_index("ix_open_units_instance", "open_units", ["instance"])
    op.create_table(
        "ledger",
        column("rollout", KEY),
        big("seq"),
        big("epoch"),
        column("arm", sa.String(16)),
        column("stream", KEY),
        count("failed"),
        count("total"),
        sa.PrimaryKeyConstraint("rollout", "seq", "epoch", "arm", "stream"),
    )


def create_judgement() -> None:
    op.create_table(
        "analyses",
        column("rollout", KEY),
        *(big(name) for name in ("seq", "closed_ms", "epoch")),
        column("stage", sa.Integer()),
        column("weight", sa.Integer()),
        column("open", sa.JSON()),
        column("circumstances", sa.JSON()),
        column("verdict", sa.String(16)),
        column("action", sa.String(16)),
        column("message", sa.Text()),
        column("lacking", sa.JSON()),
        column("evidence", sa.JSON()),
        column("state_digest", sa.String(32)),
        column("constants_digest", sa.String(32)),
        sa.PrimaryKeyConstraint("rollout", "seq"),
    )
    op.create_table("judge_states", sa.Column("rollout", KEY, primary_key=True), big("seq"), column("state", sa.Text()))
    op.create_table(
        "decisions",
        numbered(),
        column("rollout", KEY),
        big("at_ms"),
        column("actor", KEY),
        *(column(name, sa.String(16)) for name in ("action", "from_phase", "to_phase")),
        column("stage", sa.Integer()),
        column("weight", sa.Integer()),
        big("seq", nullable=True),
        column("reason", sa.Text()),
        column("message", sa.Text()),
        column("arithmetic", sa.JSON()),
        big("term", nullable=True),
    )
    op.create_index("ix_decisions_rollout", "decisions", ["rollout"])


def create_trail() -> None:
    op.create_table(
        "audit",
        numbered(),
        big("at_ms"),
        column("actor", KEY),
        column("action", sa.String(64)),
        column("subject", sa.String(200)),
        column("reason", sa.Text()),
        column("before", sa.JSON(), nullable=True),
        column("after", sa.JSON(), nullable=True),
        column("request_id", sa.String(64)),
    )
    op.create_index("ix_audit_subject", "audit", ["subject"])
    op.create_table(
        "outbox",
        numbered(),
        big("at_ms"),
        column("kind", sa.String(64)),
        column("subject", sa.String(200)),
        column("body", sa.JSON()),
        big("delivered_ms", nullable=True),
    )


def create_instances() -> None:
    op.create_table(
        "instances",
        sa.Column("id", KEY, primary_key=True),
        column("reports", sa.Boolean()),
        big("seq"),
        big("revision"),
        big("applied_ms", nullable=True),
        big("first_seen_ms"),
        big("last_contact_ms"),
        big("closed_ms", nullable=True),
        *(column(name, sa.String(200)) for name in ("app_version", "region", "sdk")),
        *(count(name) for name in ("dropped", "unadmitted", "unproved")),
    )
    op.create_index("ix_instances_last_contact_ms", "instances", ["last_contact_ms"])
    op.create_table(
        "instance_arms",
        column("instance", KEY),
        column("flag_key", KEY),
        column("variant", KEY),
        *(count(name) for name in ("open_runs", "exposures", "since_applied")),
        big("last_exposure_ms", nullable=True),
        sa.PrimaryKeyConstraint("flag_key", "variant", "instance"),
    )
    op.create_index("ix_instance_arms_instance", "instance_arms", ["instance"])


def create_pictures() -> None:
    op.create_table(
        "batches", sa.Column("batch", sa.String(64), primary_key=True), column("instance", KEY), big("received_ms")
    )
    op.create_index("ix_batches_received_ms", "batches", ["received_ms"])
    op.create_table(
        "outcomes",
        numbered(),
        *(column(name, KEY) for name in ("flag_key", "variant", "event_type")),
        column("outcome", sa.String(16)),
        big("at_ms"),
        column("instance", KEY),
        big("epoch"),
        column("event_id", sa.String(200)),
        big("latency_ms", nullable=True),
        *(column(name, sa.String(200)) for name in ("status", "reason", "user_hash", "run_hash")),
    )
    op.create_index("ix_outcomes_flag_key_at_ms", "outcomes", ["flag_key", "at_ms"])
    op.create_table(
        "windows",
        column("flag_key", KEY),
        big("starts_ms"),
        column("variant", KEY),
        column("event_type", KEY),
        *(count(name) for name in ("attempts", "delivered", "failed", "abandoned", "interrupted", "latency_ms")),
        sa.PrimaryKeyConstraint("flag_key", "starts_ms", "variant", "event_type"),
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
