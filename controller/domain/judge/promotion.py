"""The promotion rule: a stage passes when its own evidence proves it, never because nothing bad was seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.domain.guards import PPM, GuardAction
from controller.domain.judge.constants import AtLeast, Constants, Level
from controller.domain.judge.findings import Lack
from controller.domain.judge.points import Score
from controller.domain.judge.reading import Reading
from controller.domain.judge.state import NO_UPPER, PromotionState
from controller.domain.ledger import Slot
from controller.domain.outcomes import Arm
from controller.domain.tallies import UNIT, Tally


def begin_epoch(state: PromotionState, epoch: int, *, concurrent_control: bool) -> PromotionState:
    """Promotion evidence starts again with each evidence epoch.

    Without a concurrent control (above 95 % share) the last lower bound on the control's failure is frozen and used.
    """
    return PromotionState(epoch=epoch, lower=0 if concurrent_control else state.lower, frozen=not concurrent_control)


def take(constants: Constants, state: PromotionState, reading: Reading) -> None:
    """Enter one slot's rows of the present epoch; `state` is changed in place, its bounds only ever tighten."""
    _count(state.canary, reading.present[Arm.CANARY])
    _count(state.control, reading.present[Arm.CONTROL])
    for test in asked(constants):
        for stream in test.proofs:
            name = f"{test.guard}/{stream}"
            counts = state.canary.get(stream)
            if name not in state.proven and counts and rejects(counts, test.proof_scores, test.proof_line, 1):
                state.proven.append(name)
    rule = constants.promotion
    counts = pooled_counts(rule.streams, state.canary)
    tighter = [level for level in rule.canary_levels if level.ppm < state.upper]
    state.upper = min([state.upper, *_reached(counts, tighter, rule.line, rule.divisor)])
    if not state.frozen:
        counts = pooled_counts(rule.streams, state.control)
        tighter = [level for level in rule.control_levels if level.ppm > state.lower]
        state.lower = max([state.lower, *_reached(counts, tighter, rule.line, rule.divisor)])


def asked(constants: Constants) -> list[AtLeast]:
    """The guards that a stage must prove; one that only alerts holds nothing up."""
    return [test for test in constants.tests if test.action != GuardAction.ALERT]


def pooled_counts(streams: Iterable[str], counts: Mapping[str, list[int]]) -> list[int]:
    """Failed and all milli-units over several streams."""
    rows = [counts.get(name, [0, 0]) for name in streams]
    return [sum(row[0] for row in rows), sum(row[1] for row in rows)]


def lacking(constants: Constants, state: PromotionState, slot: Slot) -> list[Lack]:
    """What this stage has not proven yet; empty when it passes."""
    missing = []
    for test in asked(constants):
        names = [stream for stream in test.proofs if f"{test.guard}/{stream}" not in state.proven]
        if names:
            share = (PPM - test.allowed_ppm) / 10_000
            units = min(state.canary.get(name, [0, 0])[1] for name in names) // UNIT
            text = f"not yet proven above {share:g} %: {', '.join(names)} (least: {units:,} units)"
            missing.append(Lack("low_sample", text))
    allowed = state.lower + constants.promotion.margin_ppm
    if state.upper > allowed:
        known = "nothing yet" if state.upper == NO_UPPER else f"below {state.upper / 10_000:g} %"
        control = "the control's frozen bound" if state.frozen else "control"
        words = f"canary failure to be proven below {allowed / 10_000:g} % ({control} plus margin); so far: {known}"
        missing.append(Lack("not_compared", words))
    users = slot.gauges.users.canary << slot.gauges.users.level
    if users < constants.min_users:
        missing.append(Lack("min_users", f"{users:,} of at least {constants.min_users:,} users have seen the canary"))
    return missing


def _count(counts: dict[str, list[int]], tallies: Mapping[str, Tally]) -> None:
    for stream, tally in tallies.items():
        cell = counts.setdefault(stream, [0, 0])
        cell[0] += tally.failed
        cell[1] += tally.total


def _reached(counts: list[int], levels: Iterable[Level], line: int, divisor: int) -> list[int]:
    return [level.ppm for level in levels if rejects(counts, level.scores, line, divisor)]


def rejects(counts: Iterable[int], scores: Iterable[Score], line: int, divisor: int) -> bool:
    """Whether failed and all milli-units are evidence enough against a rate, for any of the alternatives."""
    failed, total = counts
    return any((failed * b + (total - failed) * a) // (1000 * divisor) >= line for b, a in scores)
