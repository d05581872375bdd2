"""Guards that compare the arms: one fails more than a level, and the other less than that level minus the margin.

Both sides of a level are sequential tests on the same period: they restart together, when the worse arm's evidence is
used up, so that trouble that both arms share moves neither apart from the other. Levels need no correction among
themselves: evidence against a lower level is never less than against a higher one.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.domain.judge.constants import Constants, Margin, Pair
from controller.domain.judge.findings import Effect, Evidence, Finding, Rule
from controller.domain.judge.points import Score
from controller.domain.judge.reading import Reading, pooled
from controller.domain.judge.state import JudgeState, PairState
from controller.domain.ledger import has_concurrent_control
from controller.domain.metrics import WATCHED
from controller.domain.outcomes import Arm
from controller.domain.tallies import Tally


def take(constants: Constants, state: JudgeState, reading: Reading) -> tuple[list[Finding], list[Evidence]]:
    """Enter a slot into every margin: what it proves, and where each margin stands; `state` is changed in place.

    Above 95 % share there is no control to compare with: margins are inactive.
    """
    if not has_concurrent_control(reading.slot.weight):
        return [], []
    findings, evidence = [], []
    for margin, pairs in zip(constants.margins, state.margins, strict=True):
        worse_arm, better_arm = _arms(margin)
        both = pooled(reading.sums[worse_arm], margin.streams), pooled(reading.sums[better_arm], margin.streams)
        for pair, held in zip(margin.pairs, pairs, strict=True):
            _enter(margin, pair, held, both, fresh=reading.fresh)
        finding = _nearest(margin, pairs, reading.open(worse_arm, margin.gauges) // margin.divisor)
        counts = finding.failed, finding.total
        evidence.append(Evidence(finding.guard, finding.stream, finding.score, margin.line, *counts))
        findings += [finding] if finding.score >= margin.line else []
    return findings, evidence


def inactive(constants: Constants, weight: int) -> list[str]:
    """The guards of the manifest that cannot compare at this share, in words."""
    if has_concurrent_control(weight):
        return []
    watched = {family.metric.value for family in WATCHED}
    names = {margin.guard for margin in constants.margins if margin.metric not in watched}
    return [f"{name}: inactive above 95 % share, where there is no concurrent control" for name in sorted(names)]


def _arms(margin: Margin) -> tuple[Arm, Arm]:
    worse = Arm(margin.worse)
    return worse, Arm.CONTROL if worse is Arm.CANARY else Arm.CANARY


def _enter(margin: Margin, pair: Pair, held: PairState, both: tuple[Tally, Tally], *, fresh: bool) -> None:
    if fresh and max(held.worse) <= 0:
        held.worse[:], held.better[:] = [0] * len(held.worse), [0] * len(held.better)
        held.counts[:] = [0, 0, 0, 0]
    worse, better = both
    _add(held.worse, pair.worse.scores, worse, margin.divisor)
    _add(held.better, pair.better.scores, better, margin.divisor)
    for at, more in enumerate((*worse, *better)):
        held.counts[at] += more


def _add(evidence: list[int], scores: Iterable[Score], tally: Tally, divisor: int) -> None:
    if tally.total:
        for j, (failed, good) in enumerate(scores):
            evidence[j] += (tally.failed * failed + (tally.total - tally.failed) * good) // (1000 * divisor)


def _nearest(margin: Margin, pairs: list[PairState], open_units: int) -> Finding:
    """The level with the most evidence on its weaker side."""
    scored = [
        (min(_with_open(pair.worse.scores, held.worse, open_units), max(held.better)), held.counts)
        for pair, held in zip(margin.pairs, pairs, strict=True)
    ]
    score, counts = max(scored, key=lambda found: found[0])
    failed, total, other_failed, other_total = (count // margin.divisor for count in counts)
    return Finding(
        margin.guard,
        Rule.MARGIN,
        margin.worse,
        Effect(margin.action),
        failed,
        total,
        score,
        margin.line,
        open_units,
        other_failed=other_failed,
        other_total=other_total,
    )


def _with_open(scores: tuple[Score, ...], evidence: list[int], open_units: int) -> int:
    if not open_units:
        return max(evidence)
    return max(value + open_units * good for value, (_, good) in zip(evidence, scores, strict=True))
