"""The tables. Times are milliseconds since the epoch; weights are parts of 10,000; evidence is in milli-units."""

from __future__ import annotations

from controller.storage.tables.access import idempotency, invitations, people, sessions, sign_in_failures
from controller.storage.tables.base import metadata
from controller.storage.tables.calendar import freezes, schedule_runs, schedules
from controller.storage.tables.delivery import batches, instance_arms, instances, outcomes, windows
from controller.storage.tables.evidence import (
    analyses,
    evidence_inbox,
    judge_states,
    ledger,
    open_units,
    sampled_users,
    user_counts,
)
from controller.storage.tables.notifications import channels, deliveries, subscriptions
from controller.storage.tables.retention import ledger_purges, retention_policies
from controller.storage.tables.rollouts import alerts, constants, decisions, quarantines, rollouts, rounds
from controller.storage.tables.settings import (
    audit,
    counters,
    flags,
    installation,
    leases,
    outbox,
    segments,
    snapshots,
    tokens,
)

__all__ = [
    "alerts",
    "analyses",
    "audit",
    "batches",
    "channels",
    "constants",
    "counters",
    "decisions",
    "deliveries",
    "evidence_inbox",
    "flags",
    "freezes",
    "idempotency",
    "installation",
    "instance_arms",
    "instances",
    "invitations",
    "judge_states",
    "leases",
    "ledger",
    "ledger_purges",
    "metadata",
    "open_units",
    "outbox",
    "outcomes",
    "people",
    "quarantines",
    "retention_policies",
    "rollouts",
    "rounds",
    "sampled_users",
    "schedule_runs",
    "schedules",
    "segments",
    "sessions",
    "sign_in_failures",
    "snapshots",
    "subscriptions",
    "tokens",
    "user_counts",
    "windows",
]
