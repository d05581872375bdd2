"""The verdict in words and with its arithmetic. Floating point is for display only; no decision reads it."""

from __future__ import annotations

import math

from controller.domain.decisions import Circumstances, why_held
from controller.domain.judge.constants import Constants, alpha_shares
from controller.domain.judge.findings import Analysis, Finding, Rule
from controller.domain.rollouts import Action
from controller.domain.tallies import UNIT
from controller.domain.units import UnitKind

#: A burst of failures scores more than a float's exponent can hold; beyond this the text stays the same.
_MOST_NATS = 500.0
_NOUNS = {UnitKind.USER_10M: "users", UnitKind.RUN: "runs", UnitKind.EVENT: "events"}


def explain(constants: Constants, analysis: Analysis, seen: Circumstances, action: Action) -> str:
    """One sentence: why it fails, what it waits for, or what it has proven; the same in the log and in replay."""
    if analysis.findings:
        return sentence(constants, analysis.findings[0])
    if action is Action.HOLD:
        return f"{why_held(analysis.verdict, seen, analysis.lacking)}; {standing_text(analysis)}"
    return (
        f"every event type is proven above 95 % and the canary is not worse than the control; {standing_text(analysis)}"
    )


def failures_to_convict(constants: Constants) -> int:
    """How many units convict a canary that fails from the start and entirely, in an event type's stream."""
    line, (points, _) = constants.lines[constants.types[0]][-1], constants.scores[-1]
    by_line = -(-(line - constants.start) // points)
    return max(by_line, constants.least_failed // UNIT + 1)


def sentence(constants: Constants, finding: Finding) -> str:
    """`agent_started: 23 of the last 180 users failed (87.2 %); a healthy path (>= 97.5 %) would produce this ...`."""
    failed, total = finding.failed / UNIT, finding.total / UNIT
    rate = 100 * (1 - finding.failed / finding.total)
    noun = _NOUNS[UnitKind(constants.kind)]
    head = f"{finding.stream}: {failed:g} of the last {total:g} {noun} failed ({rate:.1f} % delivered)"
    if finding.rule is Rule.BLOCK:
        return f"{head}; a full block below 95.0 % rolls back whatever the test says"
    healthy = f"a healthy path (>= {constants.floor_permille / 10:g} %)"
    return f"{head}; {healthy} would produce this about once in {_hours_text(hours_between(constants, finding))}"


def hours_between(constants: Constants, finding: Finding) -> float:
    """How many hours a path at the floor would take, on average, to look this bad by chance.

    From the line: P(score >= s within 24 h) <= exp(-s) x restarts / 0.25 over the stream's share of alpha.
    """
    share = alpha_shares(UnitKind(constants.kind), constants.types)[finding.stream]
    nats = min(finding.score / 1e6, _MOST_NATS)
    return 24 * share * 0.15 * 0.25 / 8640 * math.exp(nats)


def arithmetic(constants: Constants, finding: Finding) -> dict[str, object]:
    """The numbers that a finding rests on, in whole numbers."""
    return {
        "rule": finding.rule.value,
        "stream": finding.stream,
        "failed_milli_units": finding.failed,
        "total_milli_units": finding.total,
        "open_units": finding.open_units,
        "score_micronats": finding.score,
        "line_micronats": finding.line,
        "floor_permille": constants.floor_permille,
        "constants": constants.digest(),
    }


def standing_text(analysis: Analysis) -> str:
    """The stream nearest to its line, in words: `nearest: agent_started at 12 % of its line`."""
    if not analysis.evidence:
        return "no evidence yet"
    name, evidence = max(analysis.evidence.items(), key=lambda item: item[1].permille_of_line)
    return f"nearest: {name} at {evidence.permille_of_line / 10:.0f} % of its line"


def _hours_text(hours: float) -> str:
    if hours >= 1e12:
        return "more than a million million hours"
    if hours >= 1e6:
        return f"{hours / 1e6:.0f} million hours"
    return f"{hours:,.0f} hours" if hours >= 10 else f"{hours:.1f} hours"
