"""A sketch of a plan's forecast, for a page that somebody waits for: as many repetitions as fit into a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from controller.domain.bucketing import WHOLE
from controller.domain.meaning import what_it_means
from controller.domain.plans import Plan
from controller.domain.tallies import Counts
from controller.usecases.what_if.forecast import check_traffic
from controller.usecases.what_if.simulation import Effort, Traffic, detection, frozen_for, stage_forecast

#: What a canary is tried with: a total failure, one of two, one of ten.
LEVELS = (0.0, 0.5, 0.9)
_MOST_ROUNDS = 9


@dataclass(frozen=True, slots=True)
class StageSketch:
    """A stage as it would go, in seconds; None: not within a day, or not within its patience.

    Attributes:
        found_s: by success rate of the canary, the median time until it is acted against.
        failed_events: likewise, the median of the canary's failed events until then.
        passes_s: the median time until a healthy canary passes and is baked.
    """

    share_percent: float
    bake_s: float
    found_s: dict[float, float | None]
    failed_events: dict[float, float | None]
    passes_s: float | None


@dataclass(frozen=True, slots=True)
class Sketch:
    """What a plan would do at some traffic; `rounds` is how often each figure was simulated."""

    meaning: str
    stages: list[StageSketch]
    rounds: int
    days: float | None


class _Cell:
    """The repetitions of one figure."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.failed: list[float] = []
        self.missed = 0

    def middle(self, values: list[float]) -> float | None:
        """The median; None where half of the repetitions or more never came to an end."""
        return None if self.missed >= len(values) else median(values)


def sketch(plan: Plan, traffic: Traffic, may_go_on: Callable[[], bool]) -> Sketch:
    """Simulate, round by round; each figure once, and then as long as `may_go_on()`.

    Raises:
        Invalid: traffic that makes no sense; the error names the field.
    """
    check_traffic(plan, traffic)
    frozen = frozen_for(plan, traffic)
    found = {(at, level): _Cell() for at in range(len(plan.stages)) for level in LEVELS}
    passed = [_Cell() for _ in plan.stages]
    rounds = 0
    while rounds < _MOST_ROUNDS and (not rounds or may_go_on()):
        rounds += 1
        for (at, level), cell in found.items():
            one = detection(plan, traffic, level, plan.weight_of(at), 1, Effort(1, 1, rounds))
            _note(cell, one.seconds, one.failed_events)
        for at, cell in enumerate(passed):
            _note(cell, stage_forecast(plan, traffic, at, Effort(1, 1, rounds)).seconds)
    total = round(1_440 * traffic.events_per_minute)
    failed = total - round(total * traffic.control_success)
    stages = [_stage(plan, at, found, passed[at]) for at in range(len(plan.stages))]
    whole = [stage.passes_s for stage in stages]
    days = None if None in whole else sum(value or 0 for value in whole) / 86_400
    return Sketch(what_it_means(frozen, Counts(total, total - failed, failed)), stages, rounds, days)


def _note(cell: _Cell, seconds: tuple[float, ...], failed: tuple[float, ...] = ()) -> None:
    cell.seconds += seconds
    cell.failed += failed
    cell.missed += not seconds


def _stage(plan: Plan, at: int, found: dict[tuple[int, float], _Cell], passed: _Cell) -> StageSketch:
    cells = {level: found[at, level] for level in LEVELS}
    return StageSketch(
        share_percent=100 * plan.weight_of(at) / WHOLE,
        bake_s=plan.stages[at].bake_ms / 1000,
        found_s={level: cell.middle(cell.seconds) for level, cell in cells.items()},
        failed_events={level: cell.middle(cell.failed) for level, cell in cells.items()},
        passes_s=passed.middle(passed.seconds),
    )
