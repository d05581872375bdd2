"""The verdict in words and with its arithmetic. Floating point is for display only; no decision reads it."""

from __future__ import annotations

import math

from controller.domain.decisions import Agreement, Choice, Circumstances, why_held
from controller.domain.durations import duration_text
from controller.domain.guards import PPM
from controller.domain.judge.constants import AtLeast, Constants
from controller.domain.judge.findings import Analysis, Effect, Finding, Rule
from controller.domain.metrics import Metric, UnitKind
from controller.domain.rollouts import Action
from controller.domain.tallies import UNIT

#: A burst of failures scores more than a float's exponent can hold; beyond this the text stays the same.
_MOST_NATS = 500.0
_NOUNS = {UnitKind.USER_10M: "users", UnitKind.RUN: "runs", UnitKind.EVENT: "events"}
_DONE = {
    Metric.DELIVERY: "delivered",
    Metric.WITHIN: "delivered in time",
    Metric.COMPLETENESS: "complete",
}


def explain(constants: Constants, analysis: Analysis, seen: Circumstances, choice: Choice) -> str:
    """One sentence: why it fails, what it waits for, or what it has proven; the same in the log and in replay."""
    said = _said(constants, analysis, seen, choice.would)
    if choice.would is choice.act:
        return said
    return f"observing: would {choice.would.value.replace('_', ' ')} now. {said}"


def _said(constants: Constants, analysis: Analysis, seen: Circumstances, action: Action) -> str:
    worst = analysis.worst
    if worst is not None and worst.effect in (Effect.ROLLBACK, Effect.PAUSE):
        return sentence(constants, worst)
    notes = "".join(f"; {note}" for note in analysis.notes)
    if action is Action.HOLD and worst is not None:
        return f"{sentence(constants, worst)}; {standing_text(analysis)}{notes}"
    return f"{_why(analysis, seen, action)}{notes}"


def _why(analysis: Analysis, seen: Circumstances, action: Action) -> str:
    match action:
        case Action.HOLD:
            return f"{why_held(analysis, seen)}; {standing_text(analysis)}"
        case Action.OPEN_EPOCH:
            names = ", ".join(seen.fresh_versions)
            return f"application version {names} seen for the first time: evidence for the canary begins anew"
        case Action.RAMP_DOWN:
            return f"back to the first stage's share for {seen.frozen}; {standing_text(analysis)}"
        case Action.PAUSE | Action.ROLLBACK if seen.agreement is Agreement.LATE:
            return f"no approval came in time; {standing_text(analysis)}"
        case Action.PAUSE if analysis.lacking:
            lacking = "; ".join(lack.text for lack in analysis.lacking)
            return f"inconclusive beyond the stage's patience, so a person decides; it lacks: {lacking}"
    agreed = "; no approval came in time" if seen.agreement is Agreement.LATE else ""
    if action is Action.ASK:
        agreed = "; the next stage needs an approval"
    proven = "every guard is proven and the canary is not worse than the control"
    return f"{proven}{agreed}; {standing_text(analysis)}"


def sentence(constants: Constants, finding: Finding) -> str:
    """`agent_started: 23 of the last 180 users failed (87.2 % delivered); a healthy path (>= 97.5 %) would ...`."""
    match finding.rule:
        case Rule.SEQUENTIAL | Rule.BLOCK | Rule.RECENT:
            return _below(constants, finding)
        case Rule.MARGIN:
            return _margin(finding)
        case Rule.NOT_REPORTING:
            return (
                f"{finding.failed // UNIT} of {finding.total // UNIT} canary units that were due have not spoken; "
                "the canary does not report"
            )
        case Rule.BLIND:
            return "canary attempts are made and no outcome of any has come for five minutes"
        case Rule.NO_CANARY_TRAFFIC:
            units = finding.total // UNIT
            return f"the canary is silent, though the control's traffic calls for about {units} units by now"
        case Rule.SAMPLE_RATIO:
            share = 100 * finding.failed / max(1, finding.total)
            return (
                f"{finding.failed // UNIT} of {finding.total // UNIT} sampled users are on the canary ({share:.1f} %), "
                "which does not fit the configured share; the comparison may be biased"
            )


def _below(constants: Constants, finding: Finding) -> str:
    test = next(test for test in constants.tests if test.guard == finding.guard)
    failed, total = finding.failed / UNIT, finding.total / UNIT
    rate, noun = 100 * (1 - finding.failed / finding.total), _NOUNS[UnitKind(constants.unit)]
    head = f"{finding.stream}: {failed:g} of the last {total:g} {noun} failed ({rate:.1f} % {_done(test)})"
    threshold = (PPM - test.allowed_ppm) / 10_000
    if finding.rule is Rule.SEQUENTIAL:
        healthy = f"a healthy path (>= {test.floor_ppm / 10_000:g} %)"
        often = _hours_text(hours_between(constants, finding))
        head = f"{head}; {healthy} would produce this about once in {often}"
    elif finding.rule is Rule.BLOCK:
        head = f"{head}; a full block below {threshold:.1f} % rolls back whatever the test says"
    else:
        head = f"{head}; the last {total:g} are below {threshold:.1f} %, as min_samples asks"
    return head + _scope(finding)


def _done(test: AtLeast) -> str:
    metric = Metric(test.metric)
    return f"{_DONE[metric]}, {duration_text(test.deadline_ms)}" if metric.timed else _DONE[metric]


def _scope(finding: Finding) -> str:
    if finding.instance:
        return f"; all failures come from the instance {finding.instance}, while others deliver: it pauses"
    if finding.shared:
        control = 100 * (1 - finding.other_failed / finding.other_total)
        held = "held for up to 5 minutes" if finding.effect is Effect.HOLD else "for 5 minutes by now"
        return f"; the control is over its line too ({control:.1f} %), {held}"
    return ""


def _margin(finding: Finding) -> str:
    better = "control" if finding.stream == "canary" else "canary"
    worse_rate = 100 * finding.failed / max(1, finding.total)
    better_rate = 100 * finding.other_failed / max(1, finding.other_total)
    what = finding.guard if finding.guard in ("abandoned", "interrupted") else "fail"
    return (
        f"{finding.guard}: {worse_rate:.1f} % of the {finding.stream}'s units {what} against {better_rate:.1f} % of "
        f"the {better}'s, more than the margin apart"
    )


def failures_to_convict(constants: Constants, test: AtLeast) -> int:
    """How many units convict a canary that fails from the start and entirely, in the guard's first stream."""
    line, (points, _) = test.streams[0].lines[-1], test.scores[-1]
    by_line = -(-(line - constants.start) // points)
    return max(by_line, constants.least_failed // UNIT + 1)


def hours_between(constants: Constants, finding: Finding) -> float:
    """How many hours a path at the floor would take, on average, until any stream looks this bad by chance.

    From the lines: P(any score >= its line + x within 24 h) <= alpha x exp(-x).
    """
    nats = min((finding.score - finding.line) / 1e6, _MOST_NATS)
    return 24 * PPM / constants.alpha_ppm * math.exp(nats)


def arithmetic(constants: Constants, finding: Finding) -> dict[str, object]:
    """The numbers that a finding rests on, in whole numbers."""
    found: dict[str, object] = {
        "guard": finding.guard,
        "rule": finding.rule.value,
        "effect": finding.effect.value,
        "stream": finding.stream,
        "failed_milli_units": finding.failed,
        "total_milli_units": finding.total,
        "open_units": finding.open_units,
        "score_micronats": finding.score,
        "line_micronats": finding.line,
        "instance": finding.instance,
        "shared": finding.shared,
        "other_failed_milli_units": finding.other_failed,
        "other_total_milli_units": finding.other_total,
        "constants": constants.digest(),
    }
    for test in constants.tests:
        if test.guard == finding.guard:
            found |= {"floor_ppm": test.floor_ppm, "allowed_ppm": test.allowed_ppm}
    return found


def standing_text(analysis: Analysis) -> str:
    """The stream nearest to its line, in words: `nearest: agent_started at 12 % of its line`."""
    if not analysis.evidence:
        return "no evidence yet"
    near = max(analysis.evidence, key=lambda evidence: evidence.permille_of_line)
    return f"nearest: {near.stream} at {near.permille_of_line / 10:.0f} % of its line"


def _hours_text(hours: float) -> str:
    if hours >= 1e12:
        return "more than a million million hours"
    if hours >= 1e6:
        return f"{hours / 1e6:.0f} million hours"
    return f"{hours:,.0f} hours" if hours >= 10 else f"{hours:.1f} hours"
