"""Rollouts, their rounds, and what was decided and said of them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

from controller.storage.tables.base import Big, Key, count, metadata, ms

rollouts = Table(
    "rollouts",
    metadata,
    Column("key", Key, primary_key=True),
    Column("flag_key", Key, nullable=False),
    Column("manifest", JSON, nullable=False),
    Column("phase", String(16), nullable=False),
    Column("stage", Integer, nullable=False),
    Column("weight", Integer, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("round", Integer, nullable=False, server_default="0"),
    Column("floor_ppm", Integer),
    Column("constants", String(32)),
    Column("started_by", String(128), nullable=False, server_default=text("''")),
    Column("approved", Integer),
    Column("versions", JSON),
    ms("created_ms"),
    *(
        ms(f"{name}_ms", nullable=True)
        for name in (
            "started",
            "stage_started",
            "paused",
            "approval_asked",
            "detected",
            "decided",
            "verified",
            "ended",
            "cool_until",
        )
    ),
    Column("revision", BigInteger),
    Column("verification", JSON),
    Column("measured", JSON),
)
# One live rollout per flag: the row settles the race.
Index(
    "uq_rollouts_live_flag",
    rollouts.c.flag_key,
    unique=True,
    sqlite_where=text("phase IN ('measuring', 'progressing', 'paused', 'rolling_back')"),
    postgresql_where=text("phase IN ('measuring', 'progressing', 'paused', 'rolling_back')"),
)


# Constants of the judge by their digest; most rollouts share theirs, and none are ever changed.
constants = Table(
    "constants", metadata, Column("digest", String(32), primary_key=True), Column("canonical", Text, nullable=False)
)


# Each start of a rollout: where its evidence begins, what it was judged by, and how it ended.
rounds = Table(
    "rounds",
    metadata,
    Column("rollout", Key, nullable=False),
    Column("round", Integer, nullable=False),
    Column("flag_key", Key, nullable=False),
    Column("canary", Key, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("first_epoch", BigInteger, nullable=False),
    Column("constants", String(32), nullable=False),
    Column("mode", String(16), nullable=False),
    Column("started_by", String(128), nullable=False),
    ms("started_ms"),
    count("control_failed"),
    count("control_total"),
    ms("ended_ms", nullable=True),
    Column("ended_as", String(16), nullable=False, server_default=text("''")),
    Column("ended_by", String(128), nullable=False, server_default=text("''")),
    ms("detected_ms", nullable=True),
    ms("decided_ms", nullable=True),
    ms("verified_ms", nullable=True),
    Column("verification", JSON),
    Column("shared", Boolean, nullable=False, server_default="0"),
    Column("label", Boolean),
    Column("labelled_by", String(128), nullable=False, server_default=text("''")),
    Column("label_reason", Text, nullable=False, server_default=text("''")),
    ms("labelled_ms", nullable=True),
    PrimaryKeyConstraint("rollout", "round"),
)


# What people are told of a rollout; one of each name is open at a time.
alerts = Table(
    "alerts",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=True),
    Column("rollout", Key, nullable=False),
    Column("name", Key, nullable=False),
    Column("message", Text, nullable=False),
    ms("since_ms"),
    ms("until_ms", nullable=True),
)
Index(
    "uq_alerts_open",
    alerts.c.rollout,
    alerts.c.name,
    unique=True,
    sqlite_where=text("until_ms IS NULL"),
    postgresql_where=text("until_ms IS NULL"),
)


# Application versions that failed; their clients serve the control until a person lifts it.
quarantines = Table(
    "quarantines",
    metadata,
    Column("flag_key", Key, nullable=False),
    Column("app_version", String(200), nullable=False),
    Column("rollout", Key, nullable=False),
    Column("round", Integer, nullable=False),
    ms("since_ms"),
    Column("message", Text, nullable=False),
    PrimaryKeyConstraint("flag_key", "app_version"),
)


decisions = Table(
    "decisions",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=True),
    Column("rollout", Key, nullable=False, index=True),
    ms("at_ms"),
    Column("actor", String(128), nullable=False),
    Column("action", String(16), nullable=False),
    Column("from_phase", String(16), nullable=False),
    Column("to_phase", String(16), nullable=False),
    Column("stage", Integer, nullable=False),
    Column("weight", Integer, nullable=False),
    Column("seq", BigInteger),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("arithmetic", JSON, nullable=False),
    Column("term", BigInteger),
)
