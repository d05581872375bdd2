"""The installation, who may do what, flags and segments, and what of them is published."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

from controller.storage.tables.base import Big, Key, metadata, ms

installation = Table(
    "installation", metadata, Column("name", String(64), primary_key=True), Column("value", Text, nullable=False)
)


counters = Table(
    "counters", metadata, Column("name", String(64), primary_key=True), Column("value", BigInteger, nullable=False)
)


leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(128), nullable=False),
    Column("term", BigInteger, nullable=False),
    ms("expires_ms"),
)


tokens = Table(
    "tokens",
    metadata,
    Column("prefix", String(32), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("name", String(100), nullable=False),
    ms("created_ms"),
    ms("last_used_ms", nullable=True),
    ms("expires_ms", nullable=True),
    Column("flags", JSON),
    Column("created_by", String(128), nullable=False, server_default=text("''")),
)


flags = Table(
    "flags",
    metadata,
    Column("key", Key, primary_key=True),
    Column("variants", JSON, nullable=False),
    Column("control", Key, nullable=False),
    Column("served", Key, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("description", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    ms("created_ms"),
    ms("updated_ms"),
    # An older release on this schema knows nothing of it, so there may be none.
    Column("targeting", JSON),
)


segments = Table(
    "segments",
    metadata,
    Column("key", Key, primary_key=True),
    Column("condition", JSON, nullable=False),
    Column("description", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    ms("created_ms"),
    ms("updated_ms"),
)


snapshots = Table(
    "snapshots",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
    Column("etag", String(64), nullable=False),
    ms("at_ms"),
)


audit = Table(
    "audit",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=True),
    ms("at_ms"),
    Column("actor", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(200), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("before", JSON),
    Column("after", JSON),
    Column("request_id", String(64), nullable=False),
    # The entry's place in the chain and what holds it there; empty until the transaction that wrote it ends.
    Column("seq", BigInteger),
    Column("previous", String(64)),
    Column("digest", String(64)),
)
Index("uq_audit_seq", audit.c.seq, unique=True)
# What a transaction looks for as it ends.
Index(
    "ix_audit_unchained",
    audit.c.id,
    sqlite_where=text("digest IS NULL"),
    postgresql_where=text("digest IS NULL"),
)


outbox = Table(
    "outbox",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=True),
    ms("at_ms"),
    Column("kind", String(64), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("body", JSON, nullable=False),
    # When it was put into the lines of its channels (tables/notifications.py).
    ms("delivered_ms", nullable=True),
)
_UNSENT = text("delivered_ms IS NULL")
Index("ix_outbox_unsent", outbox.c.id, sqlite_where=_UNSENT, postgresql_where=_UNSENT)
