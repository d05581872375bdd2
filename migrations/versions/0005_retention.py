"""Retention policies, what retention has deleted of ledgers, and raw outcomes partitioned by day on PostgreSQL.

Revision 0005. It only adds for whoever uses it: the release before goes on writing to `outcomes`, whatever its shape.
The rows that are there already are not touched, so nothing waits: their table becomes `outcomes_before`, which this
release reads beside the new one, and which retention drops once its youngest row is old enough.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.String(128)
FAILED = sa.text("outcome = 'failed'")
DAY_MS = 86_400_000
#: Days that have a partition at once; the scheduler keeps making more.
DAYS = range(-1, 8)
NAMES = (
    "flag_key, variant, event_type, outcome, at_ms, instance, epoch, event_id, latency_ms, status, reason, "
    "user_hash, run_hash"
)


def upgrade() -> None:
    op.create_table(
        "retention_policies",
        sa.Column("flag_key", KEY, primary_key=True),
        *(sa.Column(f"{name}_ms", sa.BigInteger()) for name in ("raw", "ledger", "analyses", "windows")),
        sa.Column("one_in", sa.Integer()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "ledger_purges",
        sa.Column("rollout", KEY, primary_key=True),
        sa.Column("through_seq", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        partition()
    else:
        op.drop_index("ix_outcomes_flag_key_at_ms", "outcomes")
        op.create_index("ix_outcomes_failed", "outcomes", ["flag_key", "at_ms"], sqlite_where=FAILED)


def partition() -> None:
    """Put a partitioned table in the place of the plain one; for a moment nobody else can use either."""
    op.execute("LOCK TABLE outcomes IN ACCESS EXCLUSIVE MODE")
    bind = op.get_bind()
    now_ms = bind.execute(sa.text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")).scalar_one()
    if bind.execute(sa.text("SELECT EXISTS (SELECT FROM outcomes)")).scalar_one():
        op.execute("ALTER TABLE outcomes RENAME TO outcomes_before")
        op.execute("ALTER INDEX ix_outcomes_flag_key_at_ms RENAME TO ix_outcomes_before_flag_key_at_ms")
        since = sa.text("INSERT INTO counters (name, value) VALUES ('outcomes_before_ms', :now_ms)")
        bind.execute(since, {"now_ms": now_ms})
    else:
        op.drop_table("outcomes")
    op.execute(
        """
        CREATE TABLE outcomes (
            flag_key VARCHAR(128) NOT NULL,
            variant VARCHAR(128) NOT NULL,
            event_type VARCHAR(128) NOT NULL,
            outcome VARCHAR(16) NOT NULL,
            at_ms BIGINT NOT NULL,
            instance VARCHAR(128) NOT NULL,
            epoch BIGINT NOT NULL,
            event_id VARCHAR(200) NOT NULL,
            latency_ms BIGINT,
            status VARCHAR(200) NOT NULL,
            reason VARCHAR(200) NOT NULL,
            user_hash VARCHAR(200) NOT NULL,
            run_hash VARCHAR(200) NOT NULL
        ) PARTITION BY RANGE (at_ms)
        """
    )
    # A tree of all rows by flag and time took a third of the time of an insert, and people ask for failures alone.
    op.create_index("ix_outcomes_failed", "outcomes", ["flag_key", "at_ms"], postgresql_where=FAILED)
    # Rows come in the order of their time, about: a few bytes for a megabyte of them find a stretch of time.
    op.execute("CREATE INDEX ix_outcomes_at_ms ON outcomes USING brin (at_ms)")
    # What no day holds is stored all the same: ingest never depends on the scheduler having made a partition in time.
    op.execute("CREATE TABLE outcomes_rest PARTITION OF outcomes DEFAULT")
    for number in DAYS:
        first_ms = now_ms // DAY_MS * DAY_MS + number * DAY_MS
        bounds = f"FROM ({first_ms}) TO ({first_ms + DAY_MS})"
        op.execute(f"CREATE TABLE {name_of(first_ms)} PARTITION OF outcomes FOR VALUES {bounds}")


def name_of(first_ms: int) -> str:
    return f"outcomes_d{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=first_ms):%Y%m%d}"


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        unpartition()
    else:
        op.drop_index("ix_outcomes_failed", "outcomes")
        op.create_index("ix_outcomes_flag_key_at_ms", "outcomes", ["flag_key", "at_ms"])
    op.drop_table("ledger_purges")
    op.drop_table("retention_policies")


def unpartition() -> None:
    """Gather all rows in one plain table again; stop the controllers first, for it takes as long as the rows take."""
    op.execute("ALTER TABLE outcomes RENAME TO outcomes_by_day")
    bind = op.get_bind()
    if bind.execute(sa.text("SELECT to_regclass('outcomes_before') IS NOT NULL")).scalar_one():
        op.execute("ALTER TABLE outcomes_before RENAME TO outcomes")
        op.execute("ALTER INDEX ix_outcomes_before_flag_key_at_ms RENAME TO ix_outcomes_flag_key_at_ms")
        op.execute("DELETE FROM counters WHERE name = 'outcomes_before_ms'")
    else:
        create_plain()
    op.execute(f"INSERT INTO outcomes ({NAMES}) SELECT {NAMES} FROM outcomes_by_day")  # noqa: S608 - constants
    op.execute("DROP TABLE outcomes_by_day")


def create_plain() -> None:
    def text(name: str, size: int) -> sa.Column:
        return sa.Column(name, sa.String(size), nullable=False)

    op.create_table(
        "outcomes",
        sa.Column("id", BIG, primary_key=True, autoincrement=True),
        *(text(name, 128) for name in ("flag_key", "variant", "event_type")),
        text("outcome", 16),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        text("instance", 128),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        text("event_id", 200),
        sa.Column("latency_ms", sa.BigInteger()),
        *(text(name, 200) for name in ("status", "reason", "user_hash", "run_hash")),
    )
    op.create_index("ix_outcomes_flag_key_at_ms", "outcomes", ["flag_key", "at_ms"])
