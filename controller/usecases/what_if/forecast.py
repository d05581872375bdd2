"""The forecast of a plan: what `canary plan` and the page for a new rollout show before anything is started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controller.domain.bucketing import WHOLE
from controller.domain.errors import Invalid
from controller.domain.guards import PPM
from controller.domain.meaning import what_it_means
from controller.domain.metrics import UnitKind
from controller.domain.plans import Plan
from controller.domain.tallies import Counts
from controller.usecases.what_if.simulation import (
    LEVELS,
    Detection,
    Effort,
    StageForecast,
    Traffic,
    detection,
    frozen_for,
    stage_forecast,
)
from controller.wire.api.what_if import DetectionView, ForecastView, StageForecastView

#: A stage is judgeable where at least this share of the repetitions passes within its patience.
_MOST_PASS = 0.8
#: A total failure that takes longer than this to find deserves a warning.
_SLOW_S = 600.0
_MOST_EVENTS_PER_MINUTE = 10_000_000


def work(plan: Plan, effort: Effort) -> int:
    """How many repetitions a forecast simulates in all: what a progress bar counts to."""
    return len(plan.stages) * (len(LEVELS) + 1) * effort.repetitions + effort.days


def check_traffic(plan: Plan, traffic: Traffic) -> None:
    """Refuse traffic that makes no sense.

    Raises:
        Invalid: the error names the field.
    """
    if not 0 < traffic.events_per_minute <= _MOST_EVENTS_PER_MINUTE:
        raise Invalid(f"give more than 0 and at most {_MOST_EVENTS_PER_MINUTE:,}", field="events_per_minute")
    if not 0.5 <= traffic.control_success <= 1:
        raise Invalid("a control delivers 50% to 100%", field="control_success")
    least = 1 if plan.unit is UnitKind.EVENT else len(plan.events)
    if not least <= traffic.events_per_unit <= 1_000_000:
        raise Invalid(f"a unit has at least one event of each type: {least}", field="events_per_unit")


def forecast(name: str, plan: Plan, traffic: Traffic, effort: Effort) -> ForecastView:
    """Simulate a plan at some traffic."""
    frozen = frozen_for(plan, traffic)
    total = round(1_440 * traffic.events_per_minute)
    delivered = round(total * traffic.control_success)
    weights = [plan.weight_of(at) for at in range(len(plan.stages))]
    found = [
        (weight, detection(plan, traffic, success, weight, effort.repetitions, effort))
        for weight in weights
        for success in LEVELS
    ]
    stages = [stage_forecast(plan, traffic, at, effort) for at in range(len(plan.stages))]
    false = detection(plan, traffic, traffic.control_success, weights[len(weights) // 2], effort.days, effort)
    return ForecastView(
        rollout=name,
        meaning=what_it_means(frozen, Counts(total, delivered, total - delivered)),
        events_per_minute=traffic.events_per_minute,
        events_per_unit=traffic.events_per_unit,
        control_success_percent=100 * traffic.control_success,
        floor_percent=frozen.tests[0].floor_ppm / 10_000,
        alpha_percent=100 * plan.alpha_ppm / PPM,
        false_days=effort.days,
        false_rollbacks=false.found,
        detections=[_detection_view(weight, one) for weight, one in found],
        stages=[_stage_view(one) for one in stages],
        warnings=[*_slow(found), *_unjudgeable(stages), *_below(frozen.tests[0].floor_ppm, traffic)],
    )


def quantile(sorted_values: Sequence[float], share: float, of: int) -> float | None:
    """The value that a share of `of` repetitions stays below; None where so many never came to an end."""
    at = min(of - 1, int(share * of))
    return sorted_values[at] if at < len(sorted_values) else None


def _detection_view(weight: int, one: Detection) -> DetectionView:
    return DetectionView(
        success_percent=100 * one.success,
        share_percent=100 * weight / WHOLE,
        repetitions=one.repetitions,
        found=one.found,
        seconds_median=quantile(one.seconds, 0.5, one.repetitions),
        seconds_p95=quantile(one.seconds, 0.95, one.repetitions),
        failed_events_median=quantile(one.failed_events, 0.5, one.repetitions),
    )


def _stage_view(one: StageForecast) -> StageForecastView:
    return StageForecastView(
        share_percent=100 * one.weight / WHOLE,
        bake_s=one.bake_s,
        repetitions=one.repetitions,
        passed=one.passed,
        seconds_median=quantile(one.seconds, 0.5, one.repetitions),
        seconds_p90=quantile(one.seconds, 0.9, one.repetitions),
        judgeable=one.passed >= _MOST_PASS * one.repetitions,
    )


def _slow(found: Sequence[tuple[int, Detection]]) -> Iterator[str]:
    for weight, one in found:
        median = quantile(one.seconds, 0.5, one.repetitions)
        if one.success == LEVELS[-1] and (median is None or median > _SLOW_S):
            when = "is not found within a day" if median is None else f"takes {median / 60:.0f} min to be found"
            yield (
                f"at {100 * weight / WHOLE:g} % even a total failure {when}: there are too few units; begin with a "
                "larger share"
            )


def _unjudgeable(stages: Sequence[StageForecast]) -> Iterator[str]:
    for one in stages:
        if one.passed < _MOST_PASS * one.repetitions:
            yield (
                f"the stage with {100 * one.weight / WHOLE:g} % cannot be judged at this traffic: a healthy canary "
                f"passes within its bake time and patience in {one.passed} of {one.repetitions} cases, and pauses "
                "otherwise; give it a larger share, a larger promotion_margin or more patience"
            )


def _below(floor_ppm: int, traffic: Traffic) -> Iterator[str]:
    if PPM * traffic.control_success < floor_ppm:
        yield (
            f"the control itself ({100 * traffic.control_success:g} %) is below the floor ({floor_ppm / 10_000:g} %): "
            "`start` will refuse; mend the control first, or set a lower floor"
        )
