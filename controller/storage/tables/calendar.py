"""Freeze windows, and changes that are planned."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, PrimaryKeyConstraint, String, Table, Text, text

from controller.storage.tables.base import Big, Key, count, metadata, ms

# Once (starts_ms, ends_ms) or again and again (cron, lasts_ms, zone); `flags` is a scope: null is every flag.
freezes = Table(
    "freezes",
    metadata,
    Column("key", Key, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("flags", JSON),
    Column("entering", String(16), nullable=False),
    ms("starts_ms", nullable=True),
    ms("ends_ms", nullable=True),
    Column("cron", String(100), nullable=False, server_default=text("''")),
    count("lasts_ms"),
    Column("zone", String(100), nullable=False),
    Column("created_by", String(128), nullable=False),
    ms("created_ms"),
    Column("version", BigInteger, nullable=False),
)


schedules = Table(
    "schedules",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=True),
    Column("action", String(16), nullable=False),
    Column("subject", Key, nullable=False),
    Column("value", String(128), nullable=False),
    Column("next_ms", BigInteger, index=True),
    Column("cron", String(100), nullable=False, server_default=text("''")),
    Column("zone", String(100), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_by", String(128), nullable=False),
    ms("created_ms"),
    Column("state", String(16), nullable=False),
    Column("version", BigInteger, nullable=False),
)


# What became of a planned change at each of its times: the key is what makes it happen once.
schedule_runs = Table(
    "schedule_runs",
    metadata,
    Column("schedule", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    ms("at_ms"),
    Column("outcome", String(16), nullable=False),
    Column("message", Text, nullable=False),
    PrimaryKeyConstraint("schedule", "due_ms"),
)
