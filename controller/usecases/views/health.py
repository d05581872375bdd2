"""What became of each event on both arms while a rollout ran: the picture for people, never the judge's evidence."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from controller.domain.outcomes import Arm
from controller.domain.rollouts import Rollout
from controller.domain.tallies import Counts
from controller.domain.windows import WINDOW_MS, window_start
from controller.storage import windows
from controller.wire.api.rollouts import EventHealth

#: Of a draft, and before a rollout on its charts, the control alone is shown for this long.
LEAD_MS = 600_000


def health(connection: Connection, rollout: Rollout, now_ms: int) -> list[EventHealth]:
    """Each event type on the control and on the canary, from the start of the rollout to its end."""
    since_ms = window_start(now_ms - LEAD_MS if rollout.started_ms is None else rollout.started_ms)
    counts = windows.health(connection, rollout.flag_key, since_ms)
    if rollout.ended_ms is not None:
        later = windows.health(connection, rollout.flag_key, max(since_ms, window_start(rollout.ended_ms) + WINDOW_MS))
        counts = {key: _minus(found, later.get(key, Counts())) for key, found in counts.items()}
    return event_health(rollout, counts)


def health_since(connection: Connection, rollout: Rollout, since_ms: int) -> list[EventHealth]:
    """Each event type on the control and on the canary from a moment on."""
    return event_health(rollout, windows.health(connection, rollout.flag_key, window_start(since_ms)))


def event_health(rollout: Rollout, counts: Mapping[tuple[str, str], Counts]) -> list[EventHealth]:
    """Counts by (variant, event type) as the rollout's events on its two arms."""
    return [
        _event_health(event, arm, variant, counts.get((variant, event), Counts()))
        for event in rollout.plan.events
        for arm, variant in ((Arm.CONTROL, rollout.control), (Arm.CANARY, rollout.canary))
    ]


def success_percent(counts: Counts) -> float | None:
    """Delivered per cent of delivered and failed; None where neither was counted."""
    total = counts.delivered + counts.failed
    return 100 * counts.delivered / total if total else None


def _minus(whole: Counts, part: Counts) -> Counts:
    return Counts(*(a - b for a, b in zip(whole, part, strict=True)))


def _event_health(event: str, arm: Arm, variant: str, counts: Counts) -> EventHealth:
    return EventHealth(
        event_type=event,
        arm=arm.value,
        variant=variant,
        attempts=counts.attempts,
        delivered=counts.delivered,
        failed=counts.failed,
        abandoned=counts.abandoned,
        interrupted=counts.interrupted,
        success_percent=success_percent(counts),
        unknown=max(0, counts.attempts - counts.delivered - counts.failed - counts.abandoned - counts.interrupted),
    )
