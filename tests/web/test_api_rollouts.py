"""/api/v1/rollouts: from a manifest to the end of the story, through the API alone."""

from typing import Any

import pytest

from tests.web.callers import EVENT, FLAG, MANIFEST, Caller, Door, counts, evidence, report

PATH = "/api/v1/rollouts/unified-emitter"


def test_a_manifest_becomes_a_draft_and_then_a_changed_draft(operator: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    first = operator.post("/api/v1/rollouts", MANIFEST)
    second = operator.post("/api/v1/rollouts", {**MANIFEST, "note": "second try"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert (first.json["phase"], first.json["share_percent"], second.json["note"]) == ("draft", 0, "second try")
    assert [stage["share_percent"] for stage in first.json["stages"]] == [10, 100]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"stages": [{"share": "10%", "bake": "1m", "colour": "red"}]}, "stages[0].colour"),
        ({"stages": [{"share": "50%", "bake": "1m"}, {"share": "10%", "bake": "1m"}]}, "stages[1].share"),
        ({"stages": [{"share": "10%", "bake": "10 minutes"}]}, "stages[0].bake"),
        ({"stages": [{"share": "10%", "bake": "1m"}]}, "stages[0].share"),
        ({"stages": []}, "stages"),
        ({"canary": "green"}, "canary"),
        ({"control": "unified", "canary": "legacy"}, "control"),
        ({"rollout": "<img src=x>"}, "rollout"),
        ({"events": ["later"]}, "events[0]"),
        ({"guards": [{"metric": "luck"}]}, "guards[0].metric"),
    ],
)
def test_a_bad_manifest_is_refused_by_field(operator: Caller, changes: dict[str, Any], field: str) -> None:
    operator.post("/api/v1/flags", FLAG)
    answer = operator.post("/api/v1/rollouts", {**MANIFEST, **changes})
    assert (answer.status_code, answer.json["field"]) == (422, field), answer.text


def test_a_manifest_of_an_unknown_flag_is_refused_by_name(operator: Caller) -> None:
    answer = operator.post("/api/v1/rollouts", MANIFEST)
    assert (answer.status_code, answer.json["code"], answer.json["field"]) == (404, "unknown_flag", "flag")


def test_start_says_what_the_guard_means_and_publishes_the_share(operator: Caller, sdk: Caller, door: Door) -> None:
    started = operator.started()
    assert (started["phase"], started["share_percent"], started["bake_left_ms"]) == ("progressing", 10, 60_000)
    assert "rolls back on evidence" in started["message"]
    published = sdk.get("/sdk/v1/snapshot").json
    assert published["flags"]["emitter"]["rollout"]["weight"] == 1000
    assert started["revision"] == published["revision"]
    assert len(door.changes) == 3


def test_start_is_refused_below_the_floor_with_the_figures(operator: Caller, sdk: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    operator.post("/api/v1/rollouts", MANIFEST)
    sdk.post("/sdk/v1/reports", report(counts=[counts("legacy", 900, 100)]))
    answer = operator.post(f"{PATH}/start")
    assert (answer.status_code, answer.json["code"]) == (409, "control_below_floor")
    assert "90.00 % of 1,000 events" in answer.json["detail"]
    assert "6.00 points below the floor of 96%" in answer.json["detail"]


def test_a_second_live_rollout_of_a_flag_is_refused(operator: Caller) -> None:
    operator.started()
    operator.post("/api/v1/rollouts", {**MANIFEST, "rollout": "another"})
    answer = operator.post("/api/v1/rollouts/another/start")
    assert (answer.status_code, answer.json["code"]) == (409, "second_live_rollout")


def test_an_event_under_two_live_rollouts_is_refused_unless_the_manifest_allows_it(operator: Caller) -> None:
    operator.started()
    operator.post("/api/v1/flags", {**FLAG, "key": "other"})
    other = {**MANIFEST, "rollout": "other", "flag": "other"}
    operator.post("/api/v1/rollouts", other)
    answer = operator.post("/api/v1/rollouts/other/start")
    assert (answer.status_code, answer.json["code"]) == (409, "overlapping_events")
    operator.post("/api/v1/rollouts", {**other, "allow_overlap": True})
    assert operator.post("/api/v1/rollouts/other/start").status_code == 200


def test_the_verbs_move_the_rollout_and_say_what_they_came_to(operator: Caller, door: Door) -> None:
    operator.started()
    door.clock.advance(20_000)
    paused = operator.post(f"{PATH}/pause", {"reason": "lunch"}).json
    door.clock.advance(100_000)
    assert operator.get(PATH).json["bake_left_ms"] == paused["bake_left_ms"] == 40_000
    resumed = operator.post(f"{PATH}/resume").json
    promoted = operator.post(f"{PATH}/promote").json
    assert [paused["phase"], resumed["phase"], promoted["phase"]] == ["paused", "progressing", "promoted"]
    assert (promoted["share_percent"], promoted["message"]) == (100, "promoted: everybody is served unified")
    assert operator.get("/api/v1/flags/emitter").json["served"] == "unified"


def test_a_draft_can_be_given_up(operator: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    operator.post("/api/v1/rollouts", MANIFEST)
    assert operator.post(f"{PATH}/abort").json["phase"] == "aborted"


def test_a_verb_that_does_not_fit_the_phase_lists_those_that_do(operator: Caller) -> None:
    operator.started()
    answer = operator.post(f"{PATH}/resume")
    assert (answer.status_code, answer.json["code"]) == (409, "wrong_phase")
    assert "pause, promote, rollback" in answer.json["detail"]


def test_the_second_of_two_operators_is_told_to_read_again(operator: Caller) -> None:
    version = operator.started()["version"]
    assert operator.post(f"{PATH}/pause", {"version": version}).status_code == 200
    answer = operator.post(f"{PATH}/rollback", {"version": version})
    assert (answer.status_code, answer.json["code"], answer.json["field"]) == (409, "changed_meanwhile", "version")
    assert operator.get(PATH).json["phase"] == "paused"


@pytest.mark.parametrize("verb", ["start", "pause", "promote", "rollback", "abort"])
def test_an_unknown_rollout_is_not_found(operator: Caller, verb: str) -> None:
    answer = operator.post(f"/api/v1/rollouts/nothing/{verb}")
    assert (answer.status_code, answer.json["code"]) == (404, "unknown_rollout")


def test_an_unknown_verb_is_not_found(operator: Caller) -> None:
    assert operator.post(f"{PATH}/explode").json["code"] == "no_such_path"


def test_health_counts_both_arms_from_the_start_to_the_end(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.post("/api/v1/flags", FLAG)
    sdk.post("/sdk/v1/reports", report("before-start", counts=[counts("legacy", 500)]))
    door.clock.advance(60_000)
    operator.post("/api/v1/rollouts", MANIFEST)
    operator.post(f"{PATH}/start")
    sdk.post(
        "/sdk/v1/reports", report("while-it-ran", counts=[counts("legacy", 90, abandoned=4), counts("unified", 9, 1)])
    )
    door.clock.advance(30_000)
    operator.post(f"{PATH}/promote")
    door.clock.advance(60_000)
    sdk.post("/sdk/v1/reports", report("after-the-end", counts=[counts("unified", 1000)]))
    arms = {row["arm"]: row for row in operator.get(PATH).json["health"] if row["event_type"] == EVENT}
    assert (arms["control"]["delivered"], arms["control"]["abandoned"]) == (90, 4)
    assert (arms["canary"]["delivered"], arms["canary"]["failed"], arms["canary"]["success_percent"]) == (9, 1, 90.0)
    assert {row["success_percent"] for row in operator.get(PATH).json["health"] if row["event_type"] != EVENT} == {None}
    assert (arms["control"]["unknown"], arms["canary"]["unknown"]) == (0, 0)


def test_what_a_process_that_died_took_with_it_is_shown_as_unknown_and_is_in_no_rate(
    operator: Caller, sdk: Caller
) -> None:
    operator.started()
    row = counts("unified", 90)
    sdk.post("/sdk/v1/reports", report(counts=[row | {"attempts": 97}]))
    [canary] = [
        row for row in operator.get(PATH).json["health"] if (row["event_type"], row["arm"]) == (EVENT, "canary")
    ]
    assert (canary["attempts"], canary["unknown"], canary["success_percent"]) == (97, 7, 100.0)
    assert "unknown: canary 7, control 0" in operator.get("/rollouts/unified-emitter").text


def test_a_failing_canary_is_rolled_back_and_the_view_says_why_and_how_far(
    operator: Caller, sdk: Caller, door: Door
) -> None:
    operator.started()
    sdk.post("/sdk/v1/reports", report(revision=1, evidence=[evidence("canary", 30, 30)]))
    door.clock.advance(1_000)
    door.judge()
    view = operator.get(PATH).json
    assert (view["phase"], view["share_percent"], view["analysis"]["verdict"]) == ("rolling_back", 0, "fail")
    assert f"{EVENT}: 30 of the last 30 users failed" in view["analysis"]["message"]
    assert max(row["percent_of_line"] for row in view["analysis"]["evidence"]) >= 100
    door.verify()
    missing = operator.get(PATH).json["verification"]
    assert (missing["complete"], missing["missing"]) == (False, [{"instance": "chat-1", "why": "still on revision 1"}])
    confirmed = report("batch-0002", seq=2, revision=view["revision"], applied_age_ms=10)
    sdk.post("/sdk/v1/reports", confirmed)
    door.verify()
    done = operator.get(PATH).json
    assert (done["phase"], done["verification"]["sentence"]) == ("rolled_back", "verified (1 confirmed)")
    assert done["detected_ms"] <= done["decided_ms"] <= done["verified_ms"] == done["ended_ms"]
    assert done["verification"]["first_applied_ms"] == door.clock() - 10


def test_series_draw_both_arms_of_each_event_with_what_happened(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started()
    rows = [counts("legacy", 99, 1), counts("unified", 8, 2), counts("unified", 5, event="tool_completed")]
    sdk.post("/sdk/v1/reports", report(counts=rows))
    door.clock.advance(10_000)
    sdk.post("/sdk/v1/reports", report("batch-0002", counts=[counts("unified", 10)]))
    operator.post(f"{PATH}/rollback")
    chart = operator.get(f"{PATH}/series?event={EVENT}").json
    lines = {line["kind"]: line["values"] for line in chart["series"]}
    assert (lines["canary"], lines["control"], chart["line"]) == ([80.0, 100.0], [99.0, None], 95.0)
    assert [marker["label"] for marker in chart["markers"]] == ["start, 10 %", "rollback"]
    assert [stage["share_percent"] for stage in chart["stages"]] == [10, 0]
    assert chart["times"][1] - chart["times"][0] == 10
    assert len(operator.get(f"{PATH}/series").json["series"]) == 10


def test_series_of_an_event_that_is_not_judged_are_refused_by_field(operator: Caller) -> None:
    operator.started()
    answer = operator.get(f"{PATH}/series?event=lunch")
    assert (answer.status_code, answer.json["field"]) == (422, "event")


def test_a_long_rollout_is_drawn_in_wider_steps(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started()
    for at in range(20):
        sdk.post("/sdk/v1/reports", report(f"batch-{at:04}", counts=[counts("unified", 10)]))
        door.clock.advance(2 * 3_600_000)
    chart = operator.get(f"{PATH}/series?event={EVENT}").json
    assert 15 <= len(chart["times"]) <= 20
    assert (chart["times"][-1] - chart["times"][0]) // 240 * 2 >= 10


def test_rollouts_are_listed_the_newest_first(operator: Caller, door: Door) -> None:
    operator.post("/api/v1/flags", FLAG)
    for key in ("first", "second", "third"):
        operator.post("/api/v1/rollouts", {**MANIFEST, "rollout": key})
        door.clock.advance(1_000)
    page = operator.get("/api/v1/rollouts?limit=2").json
    assert [view["key"] for view in page["items"]] == ["third", "second"]
    assert [view["key"] for view in operator.get(f"/api/v1/rollouts?after={page['next']}").json["items"]] == ["first"]
