"""What the judge counts, what it has counted, and what it remembers."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

from controller.storage.tables.base import Big, Key, count, metadata, ms

# Distinct users of an evidence epoch, as a sample of keyed hashes, and their number.
sampled_users = Table(
    "sampled_users",
    metadata,
    Column("rollout", Key, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("arm", String(16), nullable=False),
    Column("tag", String(16), nullable=False),
    PrimaryKeyConstraint("rollout", "epoch", "arm", "tag"),
)


user_counts = Table(
    "user_counts",
    metadata,
    Column("rollout", Key, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    count("level"),
    count("canary"),
    count("control"),
    count("moved"),
    PrimaryKeyConstraint("rollout", "epoch"),
)


evidence_inbox = Table(
    "evidence_inbox",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=True),
    Column("rollout", Key, nullable=False, index=True),
    Column("epoch", BigInteger, nullable=False),
    Column("arm", String(16), nullable=False),
    Column("stream", Key, nullable=False),
    count("failed"),
    count("total"),
    Column("instance", Key, nullable=False, server_default=text("''")),
    Column("users", String(64), nullable=False, server_default=text("''")),
)


open_units = Table(
    "open_units",
    metadata,
    Column("rollout", Key, nullable=False),
    Column("instance", Key, nullable=False, index=True),
    Column("arm", String(16), nullable=False),
    Column("stream", Key, nullable=False),
    count("open"),
    PrimaryKeyConstraint("rollout", "instance", "arm", "stream"),
)


ledger = Table(
    "ledger",
    metadata,
    Column("rollout", Key, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("arm", String(16), nullable=False),
    Column("stream", Key, nullable=False),
    count("failed"),
    count("total"),
    PrimaryKeyConstraint("rollout", "seq", "epoch", "arm", "stream"),
)


analyses = Table(
    "analyses",
    metadata,
    Column("rollout", Key, nullable=False),
    Column("seq", BigInteger, nullable=False),
    ms("closed_ms"),
    Column("epoch", BigInteger, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("weight", Integer, nullable=False),
    Column("gauges", JSON, nullable=False),
    Column("circumstances", JSON, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("action", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("lacking", JSON, nullable=False),
    Column("findings", JSON, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("notes", JSON, nullable=False),
    Column("slot_digest", String(32), nullable=False),
    Column("state_digest", String(32), nullable=False),
    Column("constants_digest", String(32), nullable=False),
    PrimaryKeyConstraint("rollout", "seq"),
)


judge_states = Table(
    "judge_states",
    metadata,
    Column("rollout", Key, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    ms("evaluated_ms", nullable=True),
    count("errors"),
)
