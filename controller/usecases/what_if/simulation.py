"""What a plan would do at some traffic, before it is started: the shipped judge over simulated evidence.

Units come as a Poisson stream and fail independently of each other; each has its first outcome of every event type.
Slots without a failure of the canary are merged before they are judged, and judged before the failure that follows:
evidence that was used up in any of them begins anew there, as it would have without. Only the time of a promotion is
coarser by it (by a minute at most), and the control's restarts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from controller.domain.bucketing import WHOLE
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Effect, Verdict
from controller.domain.judge.freeze import freeze
from controller.domain.judge.judge import judge
from controller.domain.judge.state import JudgeState, fresh_state
from controller.domain.ledger import SLOT_MS, Gauges, LedgerRow, Slot, has_concurrent_control, ledger_rows
from controller.domain.metrics import DELIVERY, LATER, UnitKind
from controller.domain.outcomes import Arm
from controller.domain.plans import Plan
from controller.domain.tallies import UNIT, Tally

#: The success rates at which a broken canary is simulated.
LEVELS = (0.94, 0.90, 0.80, 0.50, 0.0)
_DAY_MS = 86_400_000
_BLOCK = 256
_MERGED = 6
_EPOCH = 1
#: Enough users to ask for three.
_GAUGES = Gauges(active=8)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What comes in, on both arms together.

    Attributes:
        events_per_minute: of all judged event types.
        events_per_unit: how many of them one unit causes; at least one of each type.
        control_success: the control's delivery rate, 0 to 1.
    """

    events_per_minute: float
    events_per_unit: float
    control_success: float

    def units_per_slot(self, plan: Plan) -> float:
        """Units in ten seconds; by event each event is one."""
        per_unit = 1.0 if plan.unit is UnitKind.EVENT else self.events_per_unit
        return self.events_per_minute / per_unit * SLOT_MS / 60_000


@dataclass(frozen=True, slots=True)
class Detection:
    """How a canary of one success rate fares: seconds and failed events until it is acted against.

    Attributes:
        found: in how many of the repetitions that happened within a day.
        seconds, failed_events: of those, sorted; where none, empty.
    """

    success: float
    repetitions: int
    found: int
    seconds: tuple[float, ...]
    failed_events: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class StageForecast:
    """How long a healthy canary stays in a stage: seconds until it passes and is baked, of those that do in time."""

    stage: int
    weight: int
    repetitions: int
    passed: int
    bake_s: float
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is simulated, from which seed, and who hears of each repetition that is done."""

    repetitions: int
    days: int
    seed: int = 1
    done: Callable[[int], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class _Scene:
    """One canary at one share."""

    plan: Plan
    traffic: Traffic
    frozen: Constants
    success: float
    weight: int
    horizon_ms: int


def frozen_for(plan: Plan, traffic: Traffic) -> Constants:
    """The constants that the plan would be started with, beside a control of a day's traffic."""
    total = int(traffic.events_per_minute * 1_440)
    return freeze(plan, {DELIVERY: Tally(round(total * (1 - traffic.control_success)), total)})


def detection(plan: Plan, traffic: Traffic, success: float, weight: int, repetitions: int, effort: Effort) -> Detection:
    """Simulate a canary of one success rate at a share, until it is acted against or a day is over."""
    scene = _Scene(plan, traffic, frozen_for(plan, traffic), success, weight, _DAY_MS)
    seconds, failed = [], []
    for number in range(repetitions):
        chance = np.random.default_rng([effort.seed, number, round(1e6 * success)])
        found = _until_acted(scene, chance)
        if found is not None:
            seconds.append(found[0])
            failed.append(found[1])
        effort.done(number)
    return Detection(success, repetitions, len(seconds), tuple(sorted(seconds)), tuple(sorted(failed)))


def stage_forecast(plan: Plan, traffic: Traffic, stage: int, effort: Effort) -> StageForecast:
    """Simulate a canary as good as its control in one stage, until it passes and is baked or patience is over."""
    bake_ms, weight = plan.stages[stage].bake_ms, plan.weight_of(stage)
    horizon_ms = bake_ms + plan.patience_ms
    scene = _Scene(plan, traffic, frozen_for(plan, traffic), traffic.control_success, weight, horizon_ms)
    seconds = []
    for number in range(effort.repetitions):
        passed_ms = _until_passed(scene, np.random.default_rng([effort.seed, 7, stage, number]))
        if passed_ms is not None:
            seconds.append(max(passed_ms, bake_ms) / 1000)
        effort.done(number)
    return StageForecast(stage, weight, effort.repetitions, len(seconds), bake_ms / 1000, tuple(sorted(seconds)))


def _until_acted(scene: _Scene, chance: np.random.Generator) -> tuple[float, float] | None:
    state, failed = fresh_state(scene.frozen, _EPOCH), 0.0
    plan = scene.plan
    per_failure = 1.0 if plan.unit is UnitKind.EVENT else scene.traffic.events_per_unit / len(plan.events)
    delivery = set(DELIVERY.firsts(plan.events))
    for closed_ms, rows in _slots(scene, chance, merged=10**9):
        state, analysis = judge(scene.frozen, state, _slot(state, closed_ms, scene.weight, rows))
        failed += per_failure * sum(r.failed for r in rows if r.arm == Arm.CANARY and r.stream in delivery) / UNIT
        if analysis.effect in (Effect.ROLLBACK, Effect.PAUSE):
            return closed_ms / 1000, failed
    return None


def _until_passed(scene: _Scene, chance: np.random.Generator) -> int | None:
    state = fresh_state(scene.frozen, _EPOCH)
    for closed_ms, rows in _slots(scene, chance, merged=_MERGED):
        state, analysis = judge(scene.frozen, state, _slot(state, closed_ms, scene.weight, rows))
        if analysis.verdict is Verdict.PASS:
            return closed_ms
        if analysis.effect is Effect.ROLLBACK:
            return None
    return None


def _slot(state: JudgeState, closed_ms: int, weight: int, rows: tuple[LedgerRow, ...]) -> Slot:
    return Slot(state.seq + 1, closed_ms, _EPOCH, weight, rows, _GAUGES)


def _slots(scene: _Scene, chance: np.random.Generator, *, merged: int) -> Iterator[tuple[int, tuple[LedgerRow, ...]]]:
    """Slots with their times; those between two failures of the canary are merged, at most so many at a time."""
    plan, share, streams = scene.plan, scene.weight / WHOLE, _streams(scene.plan)
    shares = np.array([share, 1 - share if has_concurrent_control(scene.weight) else 0.0])
    rates = shares * scene.traffic.units_per_slot(plan)
    failing = np.array([1 - scene.success, 1 - scene.traffic.control_success])
    held = np.zeros((2, 2, len(streams)), np.int64)
    waiting, last = 0, scene.horizon_ms // SLOT_MS
    for first in range(0, last, _BLOCK):
        totals, failed = _draw(chance, rates, failing, len(streams), by_event=plan.unit is UnitKind.EVENT)
        for at in range(min(_BLOCK, last - first)):
            fails = failed[at, 0].any()
            if waiting and (fails or waiting >= merged):
                yield (first + at) * SLOT_MS, _rows(plan, streams, held)
                held[:] = 0
                waiting = 0
            held[0] += failed[at]
            held[1] += totals[at]
            waiting += 1
            if fails:
                yield (first + at + 1) * SLOT_MS, _rows(plan, streams, held)
                held[:] = 0
                waiting = 0


def _draw(
    chance: np.random.Generator, rates: np.ndarray, failing: np.ndarray, streams: int, *, by_event: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Totals and failures by (slot, arm, stream); a unit has its first outcome in every stream, an event is in one."""
    size = (_BLOCK, 2, streams)
    if by_event:
        totals = chance.poisson(np.broadcast_to(rates[None, :, None] / streams, size))
    else:
        totals = np.repeat(chance.poisson(np.broadcast_to(rates, (_BLOCK, 2)))[:, :, None], streams, axis=2)
    return totals, chance.binomial(totals, np.broadcast_to(failing[None, :, None], size))


def _streams(plan: Plan) -> list[str]:
    """Every stream that a guard asks about; later outcomes fare like the first ones."""
    asked = dict.fromkeys(guard.family(plan.events) for guard in plan.guards)
    found = [stream for family in asked for stream in family.firsts(plan.events)]
    return found + [family.stream(LATER) for family in asked if plan.unit is not UnitKind.EVENT]


def _rows(plan: Plan, streams: list[str], held: np.ndarray) -> tuple[LedgerRow, ...]:
    tallies = {
        (_EPOCH, arm.value, stream): Tally(UNIT * int(held[0, at, column]), UNIT * int(held[1, at, column]))
        for at, arm in enumerate((Arm.CANARY, Arm.CONTROL))
        for column, stream in enumerate(streams)
    }
    return ledger_rows(tallies, plan.unit, plan.families, plan.events)
