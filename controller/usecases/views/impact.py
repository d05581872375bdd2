"""Whom a canary harmed: events by type from the windows, users from the raw outcomes."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.domain.rollouts import Rollout
from controller.domain.tallies import Counts
from controller.storage import outcomes, windows
from controller.wire.api.judging import ImpactEvent, ImpactView


def impact_view(connection: Connection, rollout: Rollout, from_ms: int, to_ms: int) -> ImpactView:
    """What became of the canary's events from one moment to another."""
    since = windows.health(connection, rollout.flag_key, from_ms)
    later = windows.health(connection, rollout.flag_key, to_ms)
    counts = {
        event: _minus(since.get((rollout.canary, event), Counts()), later.get((rollout.canary, event), Counts()))
        for event in rollout.plan.events
    }
    return ImpactView(
        from_ms=from_ms,
        to_ms=to_ms,
        delivered=sum(one.delivered for one in counts.values()),
        failed=sum(one.failed for one in counts.values()),
        failed_users=outcomes.failed_users(connection, rollout.flag_key, rollout.canary, from_ms, to_ms),
        events=[
            ImpactEvent(event, one.delivered, one.failed, one.abandoned, one.interrupted)
            for event, one in counts.items()
        ],
    )


def _minus(whole: Counts, part: Counts) -> Counts:
    return Counts(*(a - b for a, b in zip(whole, part, strict=True)))
