"""How a plan becomes the judge's constants, at start: betting e-processes, their lines from Ville's inequality.

Alpha is split over guards, streams, alternatives and restarts. The tables are printed for `at_least: 95%`; for another
threshold every rate is carried over by its odds ratio. docs/judge.md has the derivation.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from controller.domain.guards import PPM, Guard, GuardAction
from controller.domain.judge.constants import (
    FORM,
    AtLeast,
    Constants,
    Level,
    Margin,
    Pair,
    Promotion,
    Silence,
    StreamLines,
)
from controller.domain.judge.points import MICRO, TABLE, Score, line, micro_ln, odds, scaled, scores, times_odds
from controller.domain.ledger import SLOT_MS
from controller.domain.metrics import DELIVERY, LATER, POOLED, WATCHED, Family, Metric, UnitKind
from controller.domain.outcomes import Arm
from controller.domain.plans import Plan
from controller.domain.tallies import UNIT, Tally

_ALTERNATIVES = tuple(Fraction(q, 100) for q in (5, 7, 11, 20, 45, 90))
_MIX = tuple(Fraction(w, 100) for w in (25, 15, 15, 15, 15, 15))
_RESTARTS_PER_DAY = 86_400_000 // SLOT_MS
#: Three quarters of alpha for "bad from the start", the rest over the restarts.
_HEAD = Fraction(3, 4)
_RESTART = (1 - _HEAD) / _RESTARTS_PER_DAY
_LATER_SHARE = Fraction(1, 10)
_LEAST_FAILED = 2 * UNIT

_ALPHA_PROMOTION = Fraction(1, 100)
_PROOFS = (Fraction(1, 400), Fraction(1, 100), Fraction(3, 100), Fraction(4, 100))
_CANARY_LEVELS = tuple(Fraction(c, 1000) for c in (10, 15, 20, 25, 30, 35, 40, 45, 50))
_CONTROL_LEVELS = tuple(Fraction(b, 1000) for b in (5, 10, 15, 20, 25, 30, 35, 40))
#: Factors of a level's rate: below it for "fails less", above it for "fails more".
_LESS = (Fraction(1, 4), Fraction(3, 5), Fraction(17, 20))
_MORE = (Fraction(6, 5), Fraction(3, 2), Fraction(5, 2))

#: The better arm's failure at which a margin is looked at, whatever the threshold.
_MARGIN_LEVELS = tuple(Fraction(b, 1000) for b in (5, 10, 15, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480))
#: Of what is always watched, where a coarse look will do.
_WATCHED_LEVELS = tuple(Fraction(b, 1000) for b in (10, 50, 100, 200, 400, 600))
_ALPHA_WATCHED = Fraction(1, 1000)
_WATCHED_MARGIN_PPM = 50_000

_ALPHA_REPORTING = Fraction(1, 1000)
_SPEAKING = (Fraction(1, 2), Fraction(1, 10))
_ALPHA_RATIO = Fraction(1, 1000)
_RATIO_FACTORS = (500_000, 800_000, 1_250_000, 2_000_000)

_LEAST_CONTROL = 10_000
_LOWEST, _HIGHEST, _STEP, _BELOW = 960, 975, 5, 20


def freeze(plan: Plan, control: Mapping[Family, Tally]) -> Constants:
    """The constants of a plan.

    Args:
        plan: checked as a whole.
        control: failed and all outcomes of the control by family, from its last day; what is missing counts as
            unknown and gives the lowest floor.
    """
    guards = plan.guards
    alpha = Fraction(plan.alpha_ppm, PPM)
    tests = tuple(_at_least(plan, guard, control, alpha / len(guards)) for guard in guards if guard.at_least_ppm)
    margins = [_margin(plan, guard, alpha / len(guards)) for guard in guards if guard.margin_ppm]
    return Constants(
        form=FORM,
        unit=plan.unit.value,
        alpha_ppm=plan.alpha_ppm,
        outcomes=DELIVERY.firsts(plan.events),
        tests=tests,
        margins=(*margins, *_watched(plan)),
        promotion=_promotion(plan),
        silence=_silence(),
        start=micro_ln(_HEAD / _RESTART),
        least_failed=_LEAST_FAILED,
        min_users=plan.min_users,
        min_samples=plan.min_samples * UNIT,
    )


def auto_floor_ppm(at_least_ppm: int, control: Tally) -> int:
    """`floor: auto`: two points below the control's success over 24 h, in steps of half a point, 96 to 97.5 %.

    For another threshold than 95 % the control's rate is carried to 95 % by its odds ratio, and the floor back. With
    fewer than 10,000 control outcomes it is the lowest.
    """
    allowed = 1 - Fraction(at_least_ppm, PPM)
    floor = _LOWEST
    if control.total >= _LEAST_CONTROL and control.failed < control.total:
        failing = times_odds(TABLE, odds(Fraction(control.failed, control.total)) / odds(allowed))
        floor = min(_HIGHEST, max(_LOWEST, (int(1000 * (1 - failing)) - _BELOW) // _STEP * _STEP))
    return PPM - round(PPM * scaled(1 - Fraction(floor, 1000), allowed))


def alpha_shares(kind: UnitKind, family: Family, events: tuple[str, ...]) -> dict[str, Fraction]:
    """How a guard's alpha is split over its streams: 0.9 by kind and 0.1 later, or by event half of it pooled."""
    firsts = family.firsts(events)
    if kind is not UnitKind.EVENT:
        first = (1 - _LATER_SHARE) / len(firsts)
        return {**dict.fromkeys(firsts, first), family.stream(LATER): _LATER_SHARE}
    if len(firsts) == 1:
        return {firsts[0]: Fraction(1)}
    return {**dict.fromkeys(firsts, Fraction(1, 2 * len(firsts))), family.stream(POOLED): Fraction(1, 2)}


def _at_least(plan: Plan, guard: Guard, control: Mapping[Family, Tally], alpha: Fraction) -> AtLeast:
    family, threshold = guard.family(plan.events), guard.at_least_ppm or 0
    allowed = 1 - Fraction(threshold, PPM)
    floor_ppm = guard.floor_ppm or auto_floor_ppm(threshold, control.get(family, Tally()))
    points = scores((scaled(q, allowed) for q in _ALTERNATIVES), 1 - Fraction(floor_ppm, PPM))
    firsts = family.firsts(plan.events)
    return AtLeast(
        guard=guard.name,
        action=guard.action.value,
        metric=guard.metric.value,
        deadline_ms=guard.deadline_ms,
        allowed_ppm=PPM - threshold,
        floor_ppm=floor_ppm,
        scores=points,
        streams=tuple(
            _lines(stream, _gauges(family, stream, firsts), alpha * share, points[0], PPM - threshold)
            for stream, share in alpha_shares(plan.unit, family, plan.events).items()
        ),
        proofs=firsts,
        proof_scores=scores((scaled(q, allowed) for q in _PROOFS), allowed),
        proof_line=line(_ALPHA_PROMOTION / len(_PROOFS)),
    )


def _lines(stream: str, gauges: tuple[str, ...], alpha: Fraction, weakest: Score, allowed_ppm: int) -> StreamLines:
    lines = tuple(line(alpha * weight * _RESTART) for weight in _MIX)
    failed, delivered = weakest
    gain = allowed_ppm * failed + (PPM - allowed_ppm) * delivered
    return StreamLines(stream, gauges, lines, UNIT * -(-PPM * lines[0] // gain))


def _gauges(family: Family, stream: str, firsts: tuple[str, ...]) -> tuple[str, ...]:
    if stream in firsts:
        return (family.gauge(stream),)
    return tuple(family.gauge(first) for first in firsts) if stream == family.stream(POOLED) else ()


def _margin(plan: Plan, guard: Guard, alpha: Fraction) -> Margin:
    family = guard.family(plan.events)
    return _compared(guard.name, guard.action, family, plan, (guard.margin_ppm or 0, Arm.CANARY, alpha))


def _watched(plan: Plan) -> list[Margin]:
    """Users who leave and processes that end must not differ between the arms; the canary's excess pauses."""
    actions = ((Arm.CANARY, GuardAction.PAUSE), (Arm.CONTROL, GuardAction.ALERT))
    return [
        _compared(family.metric.value, action, family, plan, (_WATCHED_MARGIN_PPM, worse, _ALPHA_WATCHED))
        for family in WATCHED
        for worse, action in actions
    ]


def _compared(name: str, action: GuardAction, family: Family, plan: Plan, how: tuple[int, Arm, Fraction]) -> Margin:
    margin_ppm, worse, alpha = how
    firsts, by_event = family.firsts(plan.events), plan.unit is UnitKind.EVENT
    pooled = (family.stream(POOLED),) if by_event and len(firsts) > 1 else firsts
    gauged = family.metric in (Metric.DELIVERY, Metric.WITHIN, Metric.COMPLETENESS)
    margin = Fraction(margin_ppm, PPM)
    levels = [b for b in (_MARGIN_LEVELS if gauged else _WATCHED_LEVELS) if b + margin < 1]
    return Margin(
        guard=name,
        action=action.value,
        metric=family.metric.value,
        deadline_ms=family.deadline_ms,
        worse=worse.value,
        margin_ppm=margin_ppm,
        streams=pooled,
        gauges=tuple(family.gauge(first) for first in firsts) if gauged else (),
        divisor=1 if by_event else len(firsts),
        pairs=tuple(Pair(_by_odds(b + margin, _MORE), _by_odds(b, _LESS)) for b in levels),
        line=line(alpha / 2 / len(_MORE) * _RESTART),
    )


def _promotion(plan: Plan) -> Promotion:
    leading = next(guard for guard in plan.guards if guard.at_least_ppm)
    family, allowed = leading.family(plan.events), 1 - Fraction(leading.at_least_ppm or 0, PPM)
    firsts, by_event = family.firsts(plan.events), plan.unit is UnitKind.EVENT
    return Promotion(
        streams=(family.stream(POOLED),) if by_event and len(firsts) > 1 else firsts,
        divisor=1 if by_event else len(firsts),
        canary_levels=tuple(_level(scaled(c, allowed), _LESS) for c in _CANARY_LEVELS),
        control_levels=tuple(_level(scaled(b, allowed), _MORE) for b in _CONTROL_LEVELS),
        line=line(_ALPHA_PROMOTION / 2 / len(_LESS)),
        margin_ppm=plan.promotion_margin_ppm,
    )


def _silence() -> Silence:
    return Silence(
        reporting=tuple((micro_ln(m), int(MICRO * (1 - m))) for m in _SPEAKING),
        reporting_line=line(_ALPHA_REPORTING / 2 / _RESTARTS_PER_DAY),
        ratio_factors=_RATIO_FACTORS,
        ratio_line=line(_ALPHA_RATIO / len(_RATIO_FACTORS)),
    )


def _level(rate: Fraction, factors: tuple[Fraction, ...]) -> Level:
    return Level(round(PPM * rate), scores((min(rate * factor, (1 + rate) / 2) for factor in factors), rate))


def _by_odds(rate: Fraction, factors: tuple[Fraction, ...]) -> Level:
    return Level(round(PPM * rate), scores((times_odds(rate, factor) for factor in factors), rate))
