"""The promotion rule: a stage passes when its own evidence proves it, never because nothing bad was seen."""

from __future__ import annotations

from collections.abc import Iterable

from controller.domain.judge.constants import Constants, Level, Score
from controller.domain.judge.state import NO_UPPER, PromotionState
from controller.domain.ledger import Slot
from controller.domain.outcomes import Arm
from controller.domain.units import POOLED


def begin_epoch(state: PromotionState, epoch: int, *, concurrent_control: bool) -> PromotionState:
    """Promotion evidence starts again with each evidence epoch.

    Without a concurrent control (above 95 % share) the last lower bound on the control's failure is frozen and used.
    """
    return PromotionState(epoch=epoch, lower=0 if concurrent_control else state.lower, frozen=not concurrent_control)


def take(constants: Constants, state: PromotionState, slot: Slot) -> None:
    """Enter one slot's rows of the current epoch; `state` is changed in place, its bounds only ever tighten."""
    for row in slot.rows:
        if row.epoch == state.epoch:
            counts = state.canary if row.arm == Arm.CANARY else state.control
            cell = counts.setdefault(row.stream, [0, 0])
            cell[0] += row.failed
            cell[1] += row.total
    rule = constants.promotion
    for name in constants.types:
        if name not in state.proven and _rejects(state.canary.get(name), rule.type_scores, rule.type_line, 1):
            state.proven.append(name)
    pooled, divisor = pooled_counts(constants, state.canary), constants.pooled_divisor
    tighter = [level for level in rule.canary_levels if level.permille < state.upper]
    state.upper = min([state.upper, *_reached(pooled, tighter, rule.level_line, divisor)])
    if not state.frozen:
        pooled = pooled_counts(constants, state.control)
        tighter = [level for level in rule.control_levels if level.permille > state.lower]
        state.lower = max([state.lower, *_reached(pooled, tighter, rule.level_line, divisor)])


def pooled_counts(constants: Constants, counts: dict[str, list[int]]) -> list[int]:
    """Failed and all milli-units over all event types; the by-event form carries them as a stream of its own."""
    if POOLED in constants.streams:
        return counts.get(POOLED, [0, 0])
    rows = [counts.get(name, [0, 0]) for name in constants.types]
    return [sum(row[0] for row in rows), sum(row[1] for row in rows)]


def lacking(constants: Constants, state: PromotionState) -> tuple[str, ...]:
    """What this stage has not proven yet, in words; empty when it passes."""
    missing = [name for name in constants.types if name not in state.proven]
    words = [f"not yet proven above 95 %: {', '.join(missing)}"] if missing else []
    allowed = state.lower + constants.promotion.margin_permille
    if state.upper > allowed:
        known = "nothing yet" if state.upper == NO_UPPER else f"below {state.upper / 10:g} %"
        words.append(f"canary failure to be proven below {allowed / 10:g} % (control plus margin); so far: {known}")
    return tuple(words)


def _reached(counts: list[int], levels: Iterable[Level], line: int, divisor: int) -> list[int]:
    return [level.permille for level in levels if _rejects(counts, level.scores, line, divisor)]


def _rejects(counts: list[int] | None, scores: Iterable[Score], line: int, divisor: int) -> bool:
    failed, total = counts or (0, 0)
    return any((failed * b + (total - failed) * a) // (1000 * divisor) >= line for b, a in scores)
