"""What would settle a rollout: how many more failed or successful units, and when to expect them.

Whole numbers throughout but for the time; nothing here decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.domain.judge.at_least import is_worse
from controller.domain.judge.constants import AtLeast, Constants, Promotion
from controller.domain.judge.points import Score
from controller.domain.judge.promotion import asked, pooled_counts
from controller.domain.judge.reading import LEAST_UNITS
from controller.domain.judge.state import JudgeState, PromotionState, Track
from controller.domain.tallies import UNIT


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is left to either side.

    Attributes:
        failures: the fewest further units that would convict if all of them failed, and in which `guard/stream`.
        successes: further units of each event type that would prove the stage if none of them failed; None where no
            number would, with the failures that there are.
        waits_for: the stream (or the comparison with the control) that needs them all.
        minutes: how long those take at the present traffic; None without traffic.
    """

    failures: int
    failing_stream: str
    successes: int | None
    waits_for: str
    minutes: float | None


def outlook(constants: Constants, state: JudgeState, units_per_minute: Mapping[str, float]) -> Outlook:
    """What would settle the present stage; `units_per_minute` is the canary's traffic by stream."""
    failures, failing = min(
        (_failures(test, track, lines.lines), f"{test.guard}/{lines.stream}")
        for test, streams in zip(constants.tests, state.canary, strict=True)
        for lines in test.streams
        for track in (streams[lines.stream],)
    )
    needs = [*_proofs(constants, state.promotion), _comparison(constants.promotion, state.promotion)]
    worst = max(needs, key=lambda need: (need[1] is None, need[1] or 0))
    rate = _rate(worst[0], constants, units_per_minute)
    minutes = worst[1] / rate if worst[1] is not None and rate else None
    return Outlook(failures, failing, worst[1], worst[0], 0.0 if worst[1] == 0 else minutes)


def _failures(test: AtLeast, track: Track, lines: tuple[int, ...]) -> int:
    """Failed units in a row until a line is crossed, more than is allowed failed, and enough units did."""
    counts = []
    for j, line in enumerate(lines):
        by_line = -(-max(0, line - track.evidence[j]) // test.scores[j][0])
        by_least = -(-max(0, UNIT * LEAST_UNITS - track.failed[j]) // UNIT)
        units = max(by_line, by_least)
        while not is_worse(track.failed[j] + UNIT * units, track.total[j] + UNIT * units, test.allowed_ppm):
            units += max(1, units // 4)
        counts.append(units)
    return max(1, min(counts))


def _proofs(constants: Constants, state: PromotionState) -> list[tuple[str, int | None]]:
    return [
        (stream, _successes(state.canary.get(stream, [0, 0]), test.proof_scores, test.proof_line, 1))
        for test in asked(constants)
        for stream in test.proofs
        if f"{test.guard}/{stream}" not in state.proven
    ]


def _comparison(rule: Promotion, state: PromotionState) -> tuple[str, int | None]:
    """Units without a failure until the canary's upper bound is within the margin."""
    allowed = state.lower + rule.margin_ppm
    if state.upper <= allowed:
        return "comparison", 0
    counts = pooled_counts(rule.streams, state.canary)
    levels = [level for level in rule.canary_levels if level.ppm <= allowed]
    needs = [_successes(counts, level.scores, rule.line, rule.divisor) for level in levels]
    known = [need for need in needs if need is not None]
    return "comparison", min(known, default=None)


def _successes(counts: list[int], scores: tuple[Score, ...], line: int, divisor: int) -> int | None:
    """Further successful units until a rate is rejected; each success scores for the null's rejection."""
    failed, total = counts
    needs = []
    for on_failure, on_success in scores:
        points = (failed * on_failure + (total - failed) * on_success) // (1000 * divisor)
        if on_success > 0:
            needs.append(-(-max(0, line - points) * divisor // on_success))
    return min(needs, default=None)


def _rate(stream: str, constants: Constants, units_per_minute: Mapping[str, float]) -> float:
    if stream != "comparison":
        return units_per_minute.get(stream, 0.0)
    return sum(units_per_minute.get(name, 0.0) for name in constants.promotion.streams)
