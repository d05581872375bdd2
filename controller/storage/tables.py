"""The tables. Times are milliseconds since the epoch; weights are parts of 10,000; evidence is in milli-units."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

Big = BigInteger().with_variant(Integer, "sqlite")
Key = String(128)


def _ms(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


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
    _ms("expires_ms"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("prefix", String(32), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("name", String(100), nullable=False),
    _ms("created_ms"),
    _ms("last_used_ms", nullable=True),
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
    _ms("created_ms"),
    _ms("updated_ms"),
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
    _ms("created_ms"),
    _ms("updated_ms"),
)

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
    _ms("created_ms"),
    *(
        _ms(f"{name}_ms", nullable=True)
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
    _ms("started_ms"),
    _count("control_failed"),
    _count("control_total"),
    _ms("ended_ms", nullable=True),
    Column("ended_as", String(16), nullable=False, server_default=text("''")),
    Column("ended_by", String(128), nullable=False, server_default=text("''")),
    _ms("detected_ms", nullable=True),
    _ms("decided_ms", nullable=True),
    _ms("verified_ms", nullable=True),
    Column("verification", JSON),
    Column("shared", Boolean, nullable=False, server_default="0"),
    Column("label", Boolean),
    Column("labelled_by", String(128), nullable=False, server_default=text("''")),
    Column("label_reason", Text, nullable=False, server_default=text("''")),
    _ms("labelled_ms", nullable=True),
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
    _ms("since_ms"),
    _ms("until_ms", nullable=True),
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
    _ms("since_ms"),
    Column("message", Text, nullable=False),
    PrimaryKeyConstraint("flag_key", "app_version"),
)

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
    _count("level"),
    _count("canary"),
    _count("control"),
    _count("moved"),
    PrimaryKeyConstraint("rollout", "epoch"),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
    Column("etag", String(64), nullable=False),
    _ms("at_ms"),
)

evidence_inbox = Table(
    "evidence_inbox",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=True),
    Column("rollout", Key, nullable=False, index=True),
    Column("epoch", BigInteger, nullable=False),
    Column("arm", String(16), nullable=False),
    Column("stream", Key, nullable=False),
    _count("failed"),
    _count("total"),
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
    _count("open"),
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
    _count("failed"),
    _count("total"),
    PrimaryKeyConstraint("rollout", "seq", "epoch", "arm", "stream"),
)

analyses = Table(
    "analyses",
    metadata,
    Column("rollout", Key, nullable=False),
    Column("seq", BigInteger, nullable=False),
    _ms("closed_ms"),
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
    _ms("evaluated_ms", nullable=True),
    _count("errors"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=True),
    Column("rollout", Key, nullable=False, index=True),
    _ms("at_ms"),
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

audit = Table(
    "audit",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=True),
    _ms("at_ms"),
    Column("actor", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(200), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("before", JSON),
    Column("after", JSON),
    Column("request_id", String(64), nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=True),
    _ms("at_ms"),
    Column("kind", String(64), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("body", JSON, nullable=False),
    _ms("delivered_ms", nullable=True),
)

instances = Table(
    "instances",
    metadata,
    Column("id", Key, primary_key=True),
    Column("reports", Boolean, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    _ms("applied_ms", nullable=True),
    _ms("first_seen_ms"),
    Column("last_contact_ms", BigInteger, nullable=False, index=True),
    _ms("closed_ms", nullable=True),
    Column("app_version", String(200), nullable=False),
    Column("region", String(200), nullable=False),
    Column("sdk", String(200), nullable=False),
    _count("dropped"),
    _count("unadmitted"),
    _count("unproved"),
    # What the client says it has counted since its start, and how many attempts have come here.
    *(_count(name) for name in ("attempted", "delivered", "failed", "abandoned", "interrupted", "pending", "received")),
    _ms("clock_offset_ms", nullable=True),
    _count("trips"),
)

instance_arms = Table(
    "instance_arms",
    metadata,
    Column("instance", Key, nullable=False, index=True),
    Column("flag_key", Key, nullable=False),
    Column("variant", Key, nullable=False),
    _count("open_runs"),
    _count("exposures"),
    _count("since_applied"),
    _ms("last_exposure_ms", nullable=True),
    PrimaryKeyConstraint("flag_key", "variant", "instance"),
)

batches = Table(
    "batches",
    metadata,
    Column("batch", String(64), primary_key=True),
    Column("instance", Key, nullable=False),
    Column("received_ms", BigInteger, nullable=False, index=True),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=True),
    Column("flag_key", Key, nullable=False),
    Column("variant", Key, nullable=False),
    Column("event_type", Key, nullable=False),
    Column("outcome", String(16), nullable=False),
    _ms("at_ms"),
    Column("instance", Key, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("event_id", String(200), nullable=False),
    Column("latency_ms", BigInteger),
    Column("status", String(200), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("user_hash", String(200), nullable=False),
    Column("run_hash", String(200), nullable=False),
)
Index("ix_outcomes_flag_key_at_ms", outcomes.c.flag_key, outcomes.c.at_ms)

windows = Table(
    "windows",
    metadata,
    Column("flag_key", Key, nullable=False),
    Column("starts_ms", BigInteger, nullable=False),
    Column("variant", Key, nullable=False),
    Column("event_type", Key, nullable=False),
    *(_count(name) for name in ("attempts", "delivered", "failed", "abandoned", "interrupted", "latency_ms")),
    PrimaryKeyConstraint("flag_key", "starts_ms", "variant", "event_type"),
)
