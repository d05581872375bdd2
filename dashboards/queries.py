# ruff: noqa: INP001 - beside the scripts that use it, no package
"""Queries that several dashboards share.

What replicas read of the database is the same for all of them: `max`. What they count themselves adds up: `sum`.
"""

from __future__ import annotations

from parts import BAD_ABOVE_ZERO, BLUE, GREY, Panel, Steps

ONE = '{rollout=~"$rollout"}'
BOUNDED: Steps = ((None, GREY), (0.0001, BLUE))


ACTS = "max by (rollout, action) (increase(canary_decisions_total{}[5m]))"


def decided(chosen: str = "") -> str:
    """Where a rollout changed."""
    return f"max by (rollout, action) (changes(canary_decisions_total{chosen}[15s])) > 0"


def stat(title: str, why: str, queries: dict[str, str], unit: str = "short", steps: Steps = BAD_ABOVE_ZERO) -> Panel:
    """Newest figures, large."""
    return Panel(title, why, queries, "stat", unit, steps)


def quantile(share: float, metric: str, over: str = "5m") -> str:
    """A quantile of a histogram that each process keeps for itself."""
    return f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket[{over}])))"
