"""What people do to a live rollout by hand, through the API: shares, approvals, another try, and labels."""

from typing import Any

import pytest
from flask import Flask

from controller.domain.principals import Role
from controller.storage.database import Database
from controller.usecases import tokens
from tests.web.callers import FLAG, MANIFEST, Caller, Door, evidence, report, serves

PATH = "/api/v1/rollouts/unified-emitter"
STAGES = [{"share": "10%", "bake": "1m"}, {"share": "100%", "bake": "1m", "approval": "required"}]


@pytest.fixture
def colleague(app: Flask, database: Database, door: Door) -> Caller:
    """Another operator."""
    return Caller(app, tokens.create(database, Role.OPERATOR, "bob", actor="test", now_ms=door.clock()).secret)


def failing(sdk: Caller, door: Door, **more: object) -> None:
    """The canary of the first stage fails entirely, and the judge sees it."""
    sdk.post("/sdk/v1/reports", report("failing-01", evidence=[evidence("canary", 30, 30)], **more))
    door.clock.advance(1_000)
    door.judge()


def rolled_back(operator: Caller, sdk: Caller, door: Door, **changes: object) -> None:
    """A rollout that the judge has rolled back, verified."""
    revision = operator.started(**changes)["revision"]
    failing(sdk, door, app_version="7", revision=revision)
    sdk.post("/sdk/v1/reports", report("confirmed-01", seq=2, revision=revision + 1, app_version="7"))
    door.verify()
    assert operator.get(PATH).json["phase"] == "rolled_back"


def test_a_share_is_set_by_hand_and_said_in_per_cent(operator: Caller, sdk: Caller) -> None:
    before = operator.started()
    answer = operator.post(f"{PATH}/set-share", {"share": "12.5%", "reason": "slowly"})
    assert answer.status_code == 200, answer.text
    assert (answer.json["share_percent"], answer.json["epoch"]) == (12.5, before["epoch"] + 1)
    assert answer.json["message"] == "share set to 12.5%: its evidence begins now"
    assert answer.json["next_share_percent"] == 100
    assert sdk.get("/sdk/v1/snapshot").json["flags"]["emitter"]["rollout"]["weight"] == 1_250


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "share"),
        ({"share": 25}, "share"),
        ({"share": "a quarter"}, "share"),
        ({"share": "0%"}, "share"),
        ({"share": "101%"}, "share"),
        ({"share": "0.001%"}, "share"),
        ({"share": "96%"}, "share"),
        ({"share": "25%", "weight": 2_500}, "weight"),
    ],
)
def test_a_share_that_cannot_be_set_is_refused_by_field(operator: Caller, body: dict[str, Any], field: str) -> None:
    operator.started(holdback="5%")
    answer = operator.post(f"{PATH}/set-share", body)
    assert (answer.status_code, answer.json["field"]) == (422, field)
    assert operator.get(PATH).json["share_percent"] == 10


def test_more_canary_against_the_judge_needs_force_and_a_reason(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started(guards=[{"action": "pause"}])
    failing(sdk, door)
    for body in ({"share": "50%"}, {"share": "50%", "reason": "I am sure"}):
        answer = operator.post(f"{PATH}/set-share", body)
        assert (answer.status_code, answer.json["code"], answer.json["field"]) == (409, "guard_veto", "force")
    unexplained = operator.post(f"{PATH}/set-share", {"share": "50%", "force": True})
    assert (unexplained.status_code, unexplained.json["field"]) == (422, "reason")
    forced = operator.post(f"{PATH}/set-share", {"share": "50%", "force": True, "reason": "the probe was broken"})
    assert (forced.status_code, forced.json["share_percent"]) == (200, 50)
    [*_, last] = operator.get(f"{PATH}/decisions").json["items"]
    assert last["message"].endswith("the probe was broken (forced)")


def test_the_next_stage_is_begun_by_hand(operator: Caller) -> None:
    operator.started()
    answer = operator.post(f"{PATH}/advance")
    assert (answer.json["share_percent"], answer.json["stage"]) == (100, 1)
    assert answer.json["message"] == "advanced to 100%: its evidence begins now"
    assert operator.post(f"{PATH}/advance").json["code"] == "wrong_phase"


def test_somebody_else_approves_the_next_stage(operator: Caller, colleague: Caller) -> None:
    operator.started(stages=STAGES)
    assert operator.get(PATH).json["approval"] == "needed"
    assert operator.get(PATH).json["stages"][1]["approval_within_ms"] == 86_400_000
    assert operator.post(f"{PATH}/advance").json["code"] == "needs_approval"
    [needed] = operator.get("/api/v1/approvals").json["items"]
    assert (needed["rollout"], needed["stage"], needed["share_percent"]) == ("unified-emitter", 1, 100.0)
    assert (needed["state"], needed["started_by"], needed["until_ms"]) == ("needed", "operator of the tests", None)
    own = operator.post(f"{PATH}/approve")
    assert (own.status_code, own.json["code"]) == (403, "own_approval")
    answer = colleague.post(f"{PATH}/approve", {"reason": "looks fine"})
    assert (answer.status_code, answer.json["approval"]) == (200, "given")
    assert answer.json["message"] == "approved: the next stage begins as soon as the present one has passed"
    assert operator.post(f"{PATH}/advance").json["share_percent"] == 100


def test_an_approval_that_was_asked_for_says_until_when(operator: Caller, sdk: Caller, door: Door) -> None:
    revision = operator.started(stages=STAGES, promotion_margin="5%")["revision"]
    names = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed")
    rows = [evidence("canary", 0, 400, name) for name in names]
    door.clock.advance(60_000)
    sdk.post("/sdk/v1/reports", report(revision=revision, evidence=rows))
    door.judge()
    view = operator.get(PATH).json
    assert (view["approval"], view["approval_until_ms"]) == ("asked", door.clock() + 86_400_000)
    [asked] = operator.get("/api/v1/approvals?state=asked").json["items"]
    assert (asked["until_ms"], asked["otherwise"]) == (door.clock() + 86_400_000, "pause")
    assert operator.get("/api/v1/approvals?state=given").json["items"] == []


def test_a_rollout_that_measures_says_how_long(operator: Caller, sdk: Caller, door: Door) -> None:
    started = operator.started(measure="1h")
    assert (started["phase"], started["share_percent"], started["measure_left_ms"]) == ("measuring", 0, 3_600_000)
    assert started["message"] == "measuring the control for 1h; nobody sees the canary yet"
    assert sdk.get("/sdk/v1/snapshot").json["flags"]["emitter"]["rollout"]["weight"] == 0
    door.clock.advance(600_000)
    assert operator.get(PATH).json["measure_left_ms"] == 3_000_000
    assert operator.post(f"{PATH}/start").json["phase"] == "progressing"


def test_a_rolled_back_rollout_is_armed_again_without_the_version_that_failed(
    operator: Caller, sdk: Caller, door: Door
) -> None:
    rolled_back(operator, sdk, door)
    assert operator.get(PATH).json["quarantined"] == ["7"]
    [held] = operator.get("/api/v1/quarantines").json["items"]
    assert (held["flag"], held["app_version"], held["rollout"], held["round"]) == ("emitter", "7", "unified-emitter", 1)
    assert "30 of the last 30 users failed" in held["message"]
    armed = operator.post(f"{PATH}/re-arm").json
    assert (armed["phase"], armed["message"]) == ("draft", "armed again as a draft; still in quarantine: 7")
    cooling = operator.post(f"{PATH}/start")
    assert (cooling.status_code, cooling.json["code"]) == (409, "cooling_down")
    assert armed["cool_until_ms"] == armed["created_ms"] + 601_000
    door.clock.advance(600_000)
    sdk.post("/sdk/v1/reports", report("alive-0001", seq=3, app_version="7", arms=[serves()]))
    refused = operator.post(f"{PATH}/start")
    assert (refused.status_code, refused.json["code"]) == (409, "quarantined")


def test_a_quarantine_is_lifted_with_the_next_try(operator: Caller, sdk: Caller, door: Door) -> None:
    rolled_back(operator, sdk, door, cool_down="0s")
    unknown = operator.post(f"{PATH}/re-arm", {"lift": ["8"]})
    assert (unknown.status_code, unknown.json["field"]) == (404, "lift")
    assert operator.post(f"{PATH}/re-arm", {"lift": ["7"]}).json["message"] == "armed again as a draft"
    assert operator.get("/api/v1/quarantines").json["items"] == []
    again = operator.post(f"{PATH}/start").json
    assert (again["phase"], again["round"], again["verification"], again["decided_ms"]) == (
        "progressing",
        2,
        None,
        None,
    )


def test_rounds_tell_how_each_start_ended_and_what_people_said_of_it(operator: Caller, sdk: Caller, door: Door) -> None:
    rolled_back(operator, sdk, door, cool_down="0s")
    labelled = operator.post(f"{PATH}/label", {"right": False, "reason": "the probe was broken"})
    assert labelled.json["message"] == "the rollback of round 1 is labelled false"
    operator.post(f"{PATH}/re-arm", {"lift": ["7"]})
    operator.post(f"{PATH}/start")
    first, second = operator.get(f"{PATH}/rounds").json["items"]
    assert (first["round"], first["ended_as"], first["ended_by"]) == (1, "rolled_back", "judge")
    assert (first["label"], first["labelled_by"]) == (False, "operator of the tests")
    assert first["label_reason"] == "the probe was broken"
    assert (second["round"], second["ended_ms"], second["label"]) == (2, None, None)
    judge = operator.get("/api/v1/judge").json
    assert (judge["rollbacks"], judge["false_rollbacks"], judge["unlabelled"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "right"),
        ({"right": "no"}, 422, "right"),
        ({"right": True}, 404, "round"),
        ({"right": True, "x": 1}, 422, "x"),
    ],
)
def test_a_label_that_cannot_be_given_is_refused_by_field(
    operator: Caller, body: dict[str, Any], status: int, field: str
) -> None:
    operator.started()
    answer = operator.post(f"{PATH}/label", body)
    assert (answer.status_code, answer.json["field"]) == (status, field)


@pytest.mark.parametrize("verb", ["advance", "approve", "set-share", "re-arm", "label"])
def test_a_verb_on_nothing_is_not_found(operator: Caller, verb: str) -> None:
    body = {"set-share": {"share": "10%"}, "label": {"right": True}}.get(verb, {})
    answer = operator.post(f"/api/v1/rollouts/nothing/{verb}", body)
    assert (answer.status_code, answer.json["code"]) == (404, "unknown_rollout")


@pytest.mark.parametrize("verb", ["advance", "approve", "set-share", "re-arm"])
def test_each_verb_names_the_version_it_was_read_at(operator: Caller, colleague: Caller, verb: str) -> None:
    version = operator.started(stages=STAGES)["version"]
    operator.post(f"{PATH}/pause")
    body: dict[str, Any] = {"version": version}
    answer = colleague.post(f"{PATH}/{verb}", {**body, "share": "20%"} if verb == "set-share" else body)
    assert (answer.status_code, answer.json["code"]) == (409, "changed_meanwhile")


def test_a_draft_shows_the_guards_it_will_have(operator: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    guards = [
        {"name": "delivery", "floor": "97.5%"},
        {"name": "no-worse", "margin_to_control": "1%", "action": "pause"},
        {"name": "speed", "metric": "delivered_within", "deadline": "100ms", "at_least": "99%", "action": "alert"},
    ]
    view = operator.post("/api/v1/rollouts", {**MANIFEST, "guards": guards, "mode": "observe", "channel": "#x"}).json
    assert (view["mode"], view["channel"], view["round"], view["approval"]) == ("observe", "#x", 0, "none")
    shown = [(g["name"], g["metric"], g["action"], g["at_least_percent"], g["margin_percent"]) for g in view["guards"]]
    assert shown == [
        ("delivery", "delivery_success", "rollback", 95, None),
        ("no-worse", "delivery_success", "pause", None, 1),
        ("speed", "delivered_within", "alert", 99, None),
    ]
    assert [(g["floor_percent"], g["deadline_ms"]) for g in view["guards"]] == [(97.5, 0), (None, 0), (None, 100)]
