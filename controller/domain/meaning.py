"""What the guards of a rollout mean, in words, before they act."""

from __future__ import annotations

from controller.domain.durations import duration_text
from controller.domain.explain import failures_to_convict
from controller.domain.guards import PPM
from controller.domain.judge.constants import AtLeast, Constants, Margin
from controller.domain.metrics import WATCHED, Metric
from controller.domain.tallies import Counts

_ACTS = {"rollback": "rolls back", "pause": "pauses", "alert": "alerts"}


def what_it_means(frozen: Constants, control: Counts) -> str:
    """The guards in words: `control 99.6 % ...; delivery rolls back on evidence of less than a healthy 97.5 % ...`."""
    total = control.delivered + control.failed
    known = (
        f"control {100 * control.delivered / total:.1f} % of {total:,} events over 24 h"
        if total
        else "no control history"
    )
    watched = {family.metric.value for family in WATCHED}
    parts = [_at_least(frozen, test) for test in frozen.tests]
    parts += [_margin(margin) for margin in frozen.margins if margin.metric not in watched]
    return "; ".join([known, *parts])


def _at_least(frozen: Constants, test: AtLeast) -> str:
    threshold, floor = (PPM - test.allowed_ppm) / 10_000, test.floor_ppm / 10_000
    return (
        f"{test.guard} {_ACTS[test.action]} on evidence of less than a healthy {floor:g} % once the observed rate of "
        f"{_what(test.metric, test.deadline_ms)} is below {threshold:g} %, after {failures_to_convict(frozen, test)} "
        f"failed units ({frozen.unit}) where all fail"
    )


def _margin(margin: Margin) -> str:
    what, points = _what(margin.metric, margin.deadline_ms), margin.margin_ppm / 10_000
    act = _ACTS[margin.action]
    by = "1 point" if points == 1 else f"{points:g} points"
    return f"{margin.guard} {act} when the canary's {what} is worse by more than {by} than the control's"


def _what(metric: str, deadline_ms: int) -> str:
    return {
        Metric.DELIVERY: "delivery",
        Metric.WITHIN: f"delivery within {duration_text(deadline_ms)}",
        Metric.COMPLETENESS: f"runs complete within {duration_text(deadline_ms)}",
    }[Metric(metric)]
