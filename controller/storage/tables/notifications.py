"""Channels, who hears of what on them, and what became of each notice on each channel."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from controller.storage.tables.base import Big, Key, metadata, ms

# `address` and `secret` are sealed: storage/vault.py. `shown` is the address without what is secret in it.
channels = Table(
    "channels",
    metadata,
    Column("name", Key, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("address", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("shown", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("quiet_ms", BigInteger, nullable=False),
    Column("description", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    ms("created_ms"),
    ms("updated_ms"),
)


# An empty flag stands for all of them.
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=True),
    Column("channel", Key, nullable=False),
    Column("flag_key", Key, nullable=False),
    Column("kinds", JSON, nullable=False),
    ms("created_ms"),
    UniqueConstraint("channel", "flag_key"),
)


# One row for each notice and channel: the constraint is what makes it one.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=True),
    Column("notice", BigInteger, nullable=False),
    Column("channel", Key, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("topic", String(400), nullable=False),
    Column("state", String(16), nullable=False),
    Column("deferred", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    ms("created_ms"),
    ms("since_ms"),
    ms("due_ms"),
    ms("claimed_ms", nullable=True),
    ms("settled_ms", nullable=True),
    Column("error", Text, nullable=False),
    UniqueConstraint("notice", "channel"),
)
_OPEN = text("state IN ('waiting', 'sending')")
Index("ix_deliveries_due_ms", deliveries.c.due_ms, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("ix_deliveries_channel_topic", deliveries.c.channel, deliveries.c.topic)
Index("ix_deliveries_state", deliveries.c.state)
