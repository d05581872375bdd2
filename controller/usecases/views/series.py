"""Charts: success per event over time on both arms, with what happened to the rollout marked on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from controller.domain.errors import Invalid
from controller.domain.outcomes import Arm
from controller.domain.rollouts import Action, Phase, Rollout
from controller.domain.tallies import Counts
from controller.domain.windows import WINDOW_MS
from controller.storage import history, windows
from controller.usecases.views.health import LEAD_MS, success_percent
from controller.wire.api.judging import SeriesView

#: Points of one line; a longer time is drawn in wider steps.
MOST_POINTS = 240
_MOST_MARKERS = 100
#: What the seed asks of every event, in per cent.
_LINE = 95.0


def series_view(
    connection: Connection, rollout: Rollout, now_ms: int, event: str | None = None, *, most_points: int = MOST_POINTS
) -> SeriesView:
    """The success of each event type (or of one) on both arms, from a while before the start to a while after the end.

    Raises:
        Invalid: the rollout does not judge this event.
    """
    events = rollout.plan.events
    if event is not None and event not in events:
        raise Invalid(f"{event[:100]!r} is none of this rollout's events: {', '.join(events)}", field="event")
    first_ms, last_ms = _span(rollout, now_ms)
    step_ms = WINDOW_MS * -(-(last_ms - first_ms) // (most_points * WINDOW_MS))
    found = windows.series(connection, rollout.flag_key, first_ms // step_ms * step_ms, step_ms)
    decided = history.decisions_after(connection, rollout.key, 0, _MOST_MARKERS)
    arms = ((Arm.CONTROL, rollout.control), (Arm.CANARY, rollout.canary))
    wanted = [(name, arm, variant) for name in (events if event is None else (event,)) for arm, variant in arms]
    counted = {at for name, _, variant in wanted for at in found.get((variant, name), {}) if at <= last_ms}
    times = _with_room(sorted(counted), [row["at_ms"] for row in decided])
    return SeriesView(
        times=[at // 1000 for at in times],
        series=[_line(name, arm, variant, found, times, alone=event is not None) for name, arm, variant in wanted],
        line=_LINE,
        markers=[_marker(row) for row in decided],
        stages=_stages(decided, last_ms),
    )


def latency_view(
    connection: Connection, rollout: Rollout, now_ms: int, *, most_points: int = MOST_POINTS
) -> SeriesView:
    """The mean time to delivery on both arms, over all events of the rollout, in milliseconds."""
    first_ms, last_ms = _span(rollout, now_ms)
    step_ms = WINDOW_MS * -(-(last_ms - first_ms) // (most_points * WINDOW_MS))
    found = windows.series(connection, rollout.flag_key, first_ms // step_ms * step_ms, step_ms)
    decided = history.decisions_after(connection, rollout.key, 0, _MOST_MARKERS)
    arms = ((Arm.CONTROL, rollout.control), (Arm.CANARY, rollout.canary))
    summed = {arm: _summed([found.get((variant, event), {}) for event in rollout.plan.events]) for arm, variant in arms}
    times = sorted({at for counts in summed.values() for at in counts if at <= last_ms})
    return SeriesView(
        times=[at // 1000 for at in times],
        series=[
            {"label": f"{arm.value} ({variant})", "values": [_mean_ms(summed[arm].get(at)) for at in times],
             "kind": arm.value, "variant": variant}
            for arm, variant in arms
        ],
        markers=[_marker(row) for row in decided],
        stages=_stages(decided, last_ms),
    )  # fmt: skip


def _summed(events: Sequence[Mapping[int, Counts]]) -> dict[int, Counts]:
    found: dict[int, Counts] = {}
    for counts in events:
        for at, count in counts.items():
            found[at] = found.get(at, Counts()).plus(count)
    return found


def _mean_ms(counts: Counts | None) -> float | None:
    return None if counts is None or not counts.delivered else round(counts.latency_ms / counts.delivered, 1)


def _span(rollout: Rollout, now_ms: int) -> tuple[int, int]:
    start_ms = now_ms if rollout.started_ms is None else rollout.started_ms
    end_ms = now_ms if rollout.ended_ms is None else min(now_ms, rollout.ended_ms + LEAD_MS)
    return start_ms - LEAD_MS, max(end_ms, start_ms)


def _with_room(times: list[int], marked: Sequence[int]) -> list[int]:
    """Charts end at their last point, and a rollback often comes after it: make room for it, never between points."""
    if not times:
        return []
    whole_s = {at // 1000 * 1000 for at in marked}
    return sorted({*times, *(at for at in whole_s if not times[0] <= at <= times[-1])})


def _line(
    event: str,
    arm: Arm,
    variant: str,
    found: Mapping[tuple[str, str], Mapping[int, Counts]],
    times: Sequence[int],
    *,
    alone: bool,
) -> dict[str, Any]:
    counts = found.get((variant, event), {})
    values = [None if at not in counts else _rounded(success_percent(counts[at])) for at in times]
    return {"label": f"{arm.value} ({variant})" if alone else f"{event}, {arm.value}", "values": values,
            "kind": arm.value, "event": event, "variant": variant}  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _marker(row: Mapping[str, Any]) -> dict[str, Any]:
    share = f"{row['weight'] / 100:g} %"
    words = {
        Action.START.value: f"start, {share}",
        Action.ADVANCE.value: share,
        Action.ROLLBACK.value: "rollback",
        Action.VERIFY.value: "rollback verified",
    }
    return {"time": row["at_ms"] // 1000, "label": words.get(row["action"], row["action"])}


def _stages(decided: Sequence[Mapping[str, Any]], last_ms: int) -> list[dict[str, Any]]:
    """The times in which the canary had one share."""
    stages: list[dict[str, Any]] = []
    for row in decided:
        share = 100.0 if row["to_phase"] == Phase.PROMOTED.value else row["weight"] / 100
        if stages and stages[-1]["share_percent"] == share:
            continue
        if stages:
            stages[-1]["until"] = row["at_ms"] // 1000
        stages.append({"from": row["at_ms"] // 1000, "until": last_ms // 1000, "share_percent": share})
    return stages
