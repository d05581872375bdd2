"""What people are told without anything being moved: raised once, kept while it lasts, and said to be over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.domain.decisions import Choice
from controller.domain.explain import sentence
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Analysis, Effect

#: Names that are not a rule's: see `alerts_of` and the use cases that raise them.
JUDGE_ERROR = "judge_error"
LOST_INSTANCE = "lost_instance"
UNRECONCILED = "unreconciled"
CONTROL_BELOW_FLOOR = "control_below_floor"
WOULD = "would"

#: Alerts of the judge's own word on a slot; the others are raised and cleared by those who see them.
_JUDGES = (Effect.HOLD, Effect.ALERT)


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a person should look at.

    Attributes:
        name: what it is, such as `sample_ratio` or `margin/abandoned`; one of each is open at a time.
    """

    name: str
    message: str
    since_ms: int


def alerts_of(constants: Constants, analysis: Analysis, choice: Choice, message: str) -> dict[str, str]:
    """The alerts that an analysis calls for, as messages by name.

    In observe mode what would have been done is one of them.
    """
    found = {
        finding.rule.value + (f"/{finding.guard}" if finding.guard != finding.rule.value else ""): sentence(
            constants, finding
        )
        for finding in analysis.findings
        if finding.effect in _JUDGES
    }
    if choice.would is not choice.act:
        found[f"{WOULD}/{choice.would.value}"] = message
    return found


def changed(open_alerts: Mapping[str, Alert], wanted: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What is to be raised and what is over."""
    raised = {name: message for name, message in wanted.items() if name not in open_alerts}
    return raised, sorted(name for name in open_alerts if name not in wanted)


def reworded(open_alerts: Mapping[str, Alert], wanted: Mapping[str, str]) -> dict[str, str]:
    """What is open still, and has another text by now: another figure, or one more instance."""
    still = {name: message for name, message in wanted.items() if name in open_alerts}
    return {name: message for name, message in still.items() if message != open_alerts[name].message}
