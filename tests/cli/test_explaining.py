"""`canary rollout explain`, rounds, alerts, quarantines, and how often the judge was wrong."""

import json

from controller.wire.api.approvals import ApprovalView
from controller.wire.api.judging import ErrorsView, EvidenceLine, ExplainView, OutlookView, QuarantineView, RoundView
from controller.wire.api.rollouts import AlertView, FindingView, LackView
from controller.wire.problems import Problem
from tests.cli.conftest import Run
from tests.cli.forms import NOW, listed
from tests.cli.stub import StubController

HERE = "/api/v1/rollouts/unified-emitter"
SENTENCE = "2 more [users] to go; nearest: agent_started at 40 % of its line"


def finding(sentence: str) -> FindingView:
    return FindingView("delivery", "sequential", "agent_started", "hold", sentence, 3_000, 9_000, 1, 2)


def explained() -> ExplainView:
    """A hold, with an outlook and a peak in its past."""
    return ExplainView(
        rollout="unified-emitter",
        at_ms=NOW,
        verdict="inconclusive",
        action="hold",
        sentence=SENTENCE,
        arithmetic={"alpha_ppm": 10_000, "constants": "c0"},
        lacking=[LackView("low_sample", "not yet proven above 95 %")],
        findings=[finding("the first is the sentence"), finding("the second")],
        evidence=[],
        notes=[],
        outlook=OutlookView(4, "delivery/agent_started", 850, "agent_started", NOW, "850 more units would prove it"),
        times=[1, 2, 3],
        lines=[EvidenceLine("delivery", "agent_started", [0.0, 80.0, 40.0]), EvidenceLine("delivery", "later", [None])],
    )


def a_round(number: int, **changed: object) -> RoundView:
    return RoundView(number, 1, 1, "c0", "enforce", "kim", NOW, **changed)


def test_an_explanation_has_the_sentence_the_outlook_and_the_arithmetic(run: Run, stub: StubController) -> None:
    stub.on("GET", f"{HERE}/explain", explained())
    text = run("rollout", "explain", "unified-emitter").stdout
    for words in (SENTENCE, "also: the second", "lacks low_sample: not yet proven", "850 more units", "alpha_ppm"):
        assert words in text
    [line] = [line for line in text.splitlines() if "delivery: agent_started" in line]
    assert line.split()[-4:] == ["40", "%", "80", "%"]
    assert "delivery: later" not in text
    assert json.loads(run("rollout", "explain", "unified-emitter", "--json").stdout)["sentence"] == SENTENCE


def test_what_was_not_judged_yet_is_refused_by_the_controller(run: Run, stub: StubController) -> None:
    stub.on("GET", f"{HERE}/explain", Problem("Conflict", 409, "conflict", "has not been judged yet"))
    done = run("rollout", "explain", "unified-emitter")
    assert (done.exit_code, done.stderr) == (1, "error: Conflict: has not been judged yet\n")


def test_rounds_are_listed_with_their_ends_and_labels(run: Run, stub: StubController) -> None:
    over = {"ended_ms": NOW + 90_000, "ended_as": "rolled_back", "ended_by": "judge", "decided_ms": NOW + 90_000}
    stub.on("GET", f"{HERE}/rounds", listed(a_round(1, **over, label=False), a_round(2, **over), a_round(3)))
    first, second, third = run("rollout", "rounds", "unified-emitter").stdout.splitlines()[1:4]
    assert "rolled back" in first
    assert first.split()[-1] == "false"
    assert second.split()[-1] == "-"
    assert "under way" in third
    found = json.loads(run("rollout", "rounds", "unified-emitter", "--json").stdout)
    assert [one["label"] for one in found] == [False, None, None]


def test_alerts_are_listed_and_none_is_said(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/alerts", listed(AlertView("r", "sample_ratio", "300 of [600] users", NOW)))
    text = run("alerts").stdout
    assert "sample_ratio" in text
    assert "300 of [600] users" in text
    stub.on("GET", "/api/v1/alerts", listed())
    assert "nothing to look at" in run("alerts").stdout
    assert json.loads(run("alerts", "--json").stdout) == []


def test_quarantines_say_where_a_version_failed(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/quarantines", listed(QuarantineView("emitter", "1.2.3", "r", 2, NOW, "5 of 5 failed")))
    text = run("quarantines").stdout
    for words in ("emitter", "1.2.3", "r, round 2", "5 of 5 failed"):
        assert words in text
    stub.on("GET", "/api/v1/quarantines", listed())
    assert "no version is in quarantine" in run("quarantines").stdout


def test_the_judges_errors_are_told_per_100_rollout_days(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/judge", ErrorsView(7, 1, 2, 40.0, 2.5))
    words = " ".join(run("judge").stdout.split())
    assert words.startswith("7 rollbacks by the judge in 40.0 rollout-days: 1 labelled false (2.50 per 100 ")
    assert words.endswith("rollout-days), 2 not labelled yet")
    stub.on("GET", "/api/v1/judge", ErrorsView(0, 0, 0, 0.0, None))
    assert "(- per 100 rollout-days)" in " ".join(run("judge").stdout.split())


def test_what_waits_for_a_persons_agreement_is_listed(run: Run, stub: StubController) -> None:
    waits = ApprovalView("unified-emitter", "emitter", "ann", 1, 50.0, "asked", "kim", NOW, NOW + 3_600_000, "pause")
    stub.on("GET", "/api/v1/approvals", listed(waits))
    text = run("approvals").stdout
    for words in ("unified-emitter", "50 %", "asked", "kim", "pause"):
        assert words in text
    assert json.loads(run("approvals", "--json").stdout)[0]["otherwise"] == "pause"
