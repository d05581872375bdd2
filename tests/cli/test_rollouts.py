"""`canary rollout`: reading and the operator's verbs."""

import json

import pytest

from controller.wire.problems import Problem
from tests.cli import forms
from tests.cli.conftest import Run
from tests.cli.forms import decision, draft, listed, rollout
from tests.cli.stub import StubController

HERE = "/api/v1/rollouts/unified-emitter"


def test_rollouts_are_listed_for_people_and_for_programs(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/rollouts", listed(rollout(analysis=forms.analysis("pass")), draft(key="next")))
    lines = run("rollout", "list").stdout.splitlines()
    assert lines[1].split() == ["unified-emitter", "emitter", "progressing", "2/3", "10", "%", "pass", "5"]
    assert lines[2].split() == ["next", "emitter", "draft", "-", "0", "%", "-", "1"]
    assert [r["key"] for r in json.loads(run("rollout", "list", "--json").stdout)] == ["unified-emitter", "next"]


def test_show_says_all_that_bears_on_it(run: Run, stub: StubController) -> None:
    stub.on("GET", HERE, rollout(analysis=forms.analysis()))
    text = run("rollout", "show", "unified-emitter").stdout
    for words in (
        "10 % on unified",
        "3 min 20 s left to bake",
        "99.60 %",
        "92.00 %",
        "75 %   9 of 180 units failed",
        "inconclusive: not yet proven above 95 %: agent_started",
        "1 % for 1m -> 10 % for 10m -> 100 % for 30m",
        "97.5 %",
    ):
        assert words in text


def test_show_of_a_draft_has_nothing_to_judge_yet(run: Run, stub: StubController) -> None:
    stub.on("GET", HERE, draft())
    text = run("rollout", "show", "unified-emitter").stdout
    assert "draft" in text
    assert "taken from the control at start" in text
    assert "evidence" not in text


def test_show_of_a_rollback_tells_its_times_and_who_is_missing(run: Run, stub: StubController) -> None:
    found = forms.verification(*(f"chat-{n}" for n in range(7)))
    stub.on("GET", HERE, rollout("rolling_back", verification=found, detected_ms=forms.NOW, decided_ms=forms.NOW))
    text = run("rollout", "show", "unified-emitter").stdout
    assert "rollback waiting for 7 (2 confirmed)   canary runs left: 21" in text
    assert "waiting for chat-4: 3 canary run(s) open" in text
    assert "and 2 more" in text
    assert "since the decision" in text
    assert "applied by the last instance" in text
    assert "+0.9 s" in text


def test_status_is_short(run: Run, stub: StubController) -> None:
    stub.on("GET", HERE, rollout(analysis=forms.analysis(message="agent_started: 3 of 5 [users] failed")))
    assert run("rollout", "status", "unified-emitter").stdout.splitlines() == [
        "unified-emitter: progressing, stage 2/3, 10 % on canary, 3 min 20 s left to bake",
        "agent_started: 3 of 5 [users] failed",
    ]


def test_an_unknown_rollout_is_refused_by_name(run: Run, stub: StubController) -> None:
    stub.on("GET", HERE, Problem("No rollout has this key", 404, "unknown_rollout", "'unified-emitter'"))
    done = run("rollout", "status", "unified-emitter")
    assert (done.exit_code, done.stderr) == (1, "error: No rollout has this key: 'unified-emitter'\n")


def test_start_says_what_the_guard_means(run: Run, stub: StubController) -> None:
    meaning = "control 99.6 % of 12,000 events over 24 h; rolls back on evidence of less than a healthy 97.5 %"
    stub.on("POST", f"{HERE}/start", rollout(message=meaning))
    done = run("rollout", "start", "unified-emitter", "--reason", "go")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == meaning
    assert stub.bodies("POST") == [{"version": None, "reason": "go", "force": False}]


def test_start_below_the_floor_is_refused_with_the_figures(run: Run, stub: StubController) -> None:
    detail = "the control delivered 94.10 % of 9,000 events over 24 h, 1.90 points below the floor of 96%"
    problem = Problem("The control is below the floor", 409, "control_below_floor", detail, field="guards[0].floor")
    stub.on("POST", f"{HERE}/start", problem)
    done = run("rollout", "start", "unified-emitter")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"error: The control is below the floor: {detail} (guards[0].floor)\n"


@pytest.mark.parametrize("verb", ["start", "pause", "resume", "advance", "approve", "promote", "rollback", "abort"])
def test_each_verb_is_one_post_with_version_and_key(run: Run, stub: StubController, verb: str) -> None:
    stub.on("POST", f"{HERE}/{verb}", rollout(message="done: so it is"))
    done = run("rollout", verb, "unified-emitter", "--if-version", "5", "-r", "because")
    assert done.exit_code == 0
    assert "done: so it is" in done.stdout
    assert stub.bodies("POST") == [{"version": 5, "reason": "because", "force": False}]
    assert stub.asked[0].headers["Idempotency-Key"]
    assert json.loads(run("rollout", verb, "unified-emitter", "--json").stdout)["key"] == "unified-emitter"
    assert stub.asked[0].headers["Idempotency-Key"] != stub.asked[1].headers["Idempotency-Key"]


@pytest.mark.parametrize("verb", ["promote", "advance", "set-share"])
def test_going_against_the_judge_is_said_in_the_request(run: Run, stub: StubController, verb: str) -> None:
    stub.on("POST", f"{HERE}/{verb}", rollout())
    share = ["25%"] if verb == "set-share" else []
    assert run("rollout", verb, "unified-emitter", *share, "--force", "-r", "the probe was broken").exit_code == 0
    [body] = stub.bodies("POST")
    assert (body["force"], body["reason"]) == (True, "the probe was broken")


def test_a_guards_veto_is_told_with_the_judges_word(run: Run, stub: StubController) -> None:
    detail = "agent_started: 4 of the last 4 users failed. Say `force` with a reason to go on regardless"
    stub.on("POST", f"{HERE}/set-share", Problem("A guard speaks against this", 409, "guard_veto", detail, "force"))
    done = run("rollout", "set-share", "unified-emitter", "50%")
    assert done.exit_code == 1
    assert done.stderr == f"error: A guard speaks against this: {detail} (force)\n"


def test_a_share_is_sent_as_it_was_written(run: Run, stub: StubController) -> None:
    stub.on("POST", f"{HERE}/set-share", rollout(message="share set to 12.5%: its evidence begins now"))
    done = run("rollout", "set-share", "unified-emitter", "12.5%", "--if-version", "5")
    assert done.stdout.splitlines()[0] == "share set to 12.5%: its evidence begins now"
    assert stub.bodies("POST") == [{"version": 5, "reason": "", "force": False, "share": "12.5%"}]


def test_re_arming_names_the_versions_that_leave_quarantine(run: Run, stub: StubController) -> None:
    stub.on("POST", f"{HERE}/re-arm", draft(message="armed again as a draft; still in quarantine: 1.2.4"))
    done = run("rollout", "re-arm", "unified-emitter", "--lift", "1.2.3", "--lift", "1.2.5")
    assert "still in quarantine: 1.2.4" in done.stdout
    assert stub.bodies("POST")[0]["lift"] == ["1.2.3", "1.2.5"]


@pytest.mark.parametrize(("option", "true"), [("--true", True), ("--false", False)])
def test_a_rollback_is_labelled(run: Run, stub: StubController, option: str, true: bool) -> None:
    stub.on("POST", f"{HERE}/label", rollout("rolled_back", message="the rollback of round 2 is labelled"))
    assert run("rollout", "label", "unified-emitter", option, "--round", "2", "-r", "looked").exit_code == 0
    assert stub.bodies("POST") == [{"right": true, "round": 2, "reason": "looked"}]


def test_a_label_says_which_it_is(run: Run, stub: StubController) -> None:
    assert run("rollout", "label", "unified-emitter").exit_code == 2
    assert stub.asked == []


def test_the_history_is_told_in_order(run: Run, stub: StubController) -> None:
    stub.on("GET", f"{HERE}/decisions", listed(decision(1), decision(2, "rollback", 7, actor="judge")))
    lines = run("rollout", "decisions", "unified-emitter").stdout.splitlines()
    assert "kim" in lines[1]
    assert "rollback" in lines[2]
    assert "why it was done" in lines[2]
    assert len(json.loads(run("rollout", "decisions", "unified-emitter", "--json").stdout)) == 2
