"""Client processes, and what they report."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    PrimaryKeyConstraint,
    String,
    Table,
    text,
)

from controller.storage.tables.base import Key, count, metadata, ms

instances = Table(
    "instances",
    metadata,
    Column("id", Key, primary_key=True),
    Column("reports", Boolean, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    ms("applied_ms", nullable=True),
    ms("first_seen_ms"),
    Column("last_contact_ms", BigInteger, nullable=False, index=True),
    ms("closed_ms", nullable=True),
    Column("app_version", String(200), nullable=False),
    Column("region", String(200), nullable=False),
    Column("sdk", String(200), nullable=False),
    count("dropped"),
    count("unadmitted"),
    count("unproved"),
    # What the client says it has counted since its start, and how many attempts have come here.
    *(count(name) for name in ("attempted", "delivered", "failed", "abandoned", "interrupted", "pending", "received")),
    ms("clock_offset_ms", nullable=True),
    count("trips"),
)


instance_arms = Table(
    "instance_arms",
    metadata,
    Column("instance", Key, nullable=False, index=True),
    Column("flag_key", Key, nullable=False),
    Column("variant", Key, nullable=False),
    count("open_runs"),
    count("exposures"),
    count("since_applied"),
    ms("last_exposure_ms", nullable=True),
    PrimaryKeyConstraint("flag_key", "variant", "instance"),
)


batches = Table(
    "batches",
    metadata,
    Column("batch", String(64), primary_key=True),
    Column("instance", Key, nullable=False),
    Column("received_ms", BigInteger, nullable=False, index=True),
)


# Raw events have no key: nothing names a single one. On PostgreSQL they are partitioned by the day of `at_ms`
# (storage/partitions.py).
outcomes = Table(
    "outcomes",
    metadata,
    Column("flag_key", Key, nullable=False),
    Column("variant", Key, nullable=False),
    Column("event_type", Key, nullable=False),
    Column("outcome", String(16), nullable=False),
    ms("at_ms"),
    Column("instance", Key, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("event_id", String(200), nullable=False),
    Column("latency_ms", BigInteger),
    Column("status", String(200), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("user_hash", String(200), nullable=False),
    Column("run_hash", String(200), nullable=False),
)
# People ask for failures alone, so deliveries are not made to pay for an index.
Index(
    "ix_outcomes_failed",
    outcomes.c.flag_key,
    outcomes.c.at_ms,
    sqlite_where=text("outcome = 'failed'"),
    postgresql_where=text("outcome = 'failed'"),
)


windows = Table(
    "windows",
    metadata,
    Column("flag_key", Key, nullable=False),
    Column("starts_ms", BigInteger, nullable=False),
    Column("variant", Key, nullable=False),
    Column("event_type", Key, nullable=False),
    *(count(name) for name in ("attempts", "delivered", "failed", "abandoned", "interrupted", "latency_ms")),
    PrimaryKeyConstraint("flag_key", "starts_ms", "variant", "event_type"),
)
