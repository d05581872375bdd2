"""People and their sessions, links that let somebody in once, and what was answered to whom."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    text,
)

from controller.storage.tables.base import Key, count, metadata, ms

# `flags` is a scope: null is every flag.
people = Table(
    "people",
    metadata,
    Column("name", Key, primary_key=True),
    Column("role", String(16), nullable=False),
    Column("flags", JSON),
    Column("enabled", Boolean, nullable=False, server_default="1"),
    Column("password", String(300)),
    Column("subject", String(400), unique=True),
    Column("version", BigInteger, nullable=False),
    ms("created_ms"),
    ms("seen_ms", nullable=True),
)


# Sessions by the hash of their secret.
sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("person", Key, nullable=False, index=True),
    Column("via", String(16), nullable=False),
    ms("created_ms"),
    ms("seen_ms"),
    Column("expires_ms", BigInteger, nullable=False, index=True),
)


# Links that let somebody choose a password, once; by the hash of their secret. An empty person is the first admin.
invitations = Table(
    "invitations",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("person", Key, nullable=False, index=True, server_default=text("''")),
    Column("created_by", String(128), nullable=False),
    ms("created_ms"),
    ms("expires_ms"),
)


# Failed attempts to sign in, counted by what they have in common (a hash of it) since a moment.
sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("subject", String(64), primary_key=True),
    count("failures"),
    Column("since_ms", BigInteger, nullable=False, index=True),
)


# Answers to requests that carried an idempotency key, for a day; without a status while one is under way.
idempotency = Table(
    "idempotency",
    metadata,
    Column("principal", String(160), nullable=False),
    Column("key", String(200), nullable=False),
    Column("request", String(64), nullable=False),
    Column("status", BigInteger),
    Column("body", LargeBinary),
    Column("at_ms", BigInteger, nullable=False, index=True),
    PrimaryKeyConstraint("principal", "key"),
)
