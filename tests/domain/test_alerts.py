"""Alerts: raised once, kept while they last, over when they are."""

from controller.domain.alerts import Alert, alerts_of, changed
from controller.domain.decisions import Choice
from controller.domain.judge.findings import Analysis, Effect, Finding, Rule, Verdict
from controller.domain.rollouts import Action
from tests.domain.builders import NOW, constants

HOLD = Choice(Action.HOLD, Action.HOLD)


def found(*findings: Finding) -> Analysis:
    return Analysis(1, Verdict.INCONCLUSIVE, findings)


def test_what_holds_or_alerts_is_an_alert_and_what_acts_is_a_decision():
    analysis = found(
        Finding("delivery", Rule.SEQUENTIAL, "a", Effect.ROLLBACK, 1_000, 1_000),
        Finding("sample_ratio", Rule.SAMPLE_RATIO, "", Effect.HOLD, 100, 1_000),
        Finding("abandoned", Rule.MARGIN, "control", Effect.ALERT, 100, 1_000, other_total=1_000),
    )
    assert set(alerts_of(constants(), analysis, HOLD, "why")) == {"sample_ratio", "margin/abandoned"}


def test_what_an_observer_would_have_done_is_an_alert():
    choice = Choice(Action.HOLD, Action.ROLLBACK)
    assert alerts_of(constants(), found(), choice, "would roll back") == {"would/rollback": "would roll back"}


def test_only_what_is_new_is_raised_and_only_what_is_over_is_cleared():
    opened = {name: Alert(name, "", NOW) for name in ("a", "b")}
    assert changed(opened, {"b": "still", "c": "new"}) == ({"c": "new"}, ["a"])
    assert changed({}, {}) == ({}, [])
