"""The tables. Times are milliseconds since the epoch; weights are parts of 10,000; evidence is in milli-units."""

from __future__ import annotations

from controller.storage.tables.base import metadata
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
    "installation",
    "instance_arms",
    "instances",
    "judge_states",
    "leases",
    "ledger",
    "metadata",
    "open_units",
    "outbox",
    "outcomes",
    "quarantines",
    "rollouts",
    "rounds",
    "sampled_users",
    "segments",
    "snapshots",
    "subscriptions",
    "tokens",
    "user_counts",
    "windows",
]
