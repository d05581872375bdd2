"""Why a rollout stands where it stands; the alerts about it; and whom it has reached."""

import pytest
from sqlalchemy import update

from controller.storage import constants, tables
from tests.web.callers import EVENT, Caller, Door, evidence, report, serves

PATH = "/api/v1/rollouts/unified-emitter"


def test_what_was_never_judged_cannot_be_explained(operator: Caller) -> None:
    operator.started()
    answer = operator.get(f"{PATH}/explain")
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert operator.get("/api/v1/rollouts/nothing/explain").status_code == 404


def test_a_hold_says_what_it_lacks_and_what_would_settle_it(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started()
    sdk.post("/sdk/v1/reports", report(evidence=[evidence("canary", 1, 60)]))
    door.clock.advance(10_000)
    door.judge()
    said = operator.get(f"{PATH}/explain").json
    assert (said["verdict"], said["action"], said["at_ms"]) == ("inconclusive", "hold", door.clock())
    assert {lack["name"] for lack in said["lacking"]} >= {"low_sample", "not_compared"}
    outlook = said["outlook"]
    assert outlook["failures"] >= 1
    assert outlook["failing_stream"].startswith("delivery/")
    assert outlook["successes"] > 60
    assert "would prove the stage" in outlook["sentence"]
    assert "would convict" in outlook["sentence"]
    assert said["arithmetic"]["alpha_ppm"] == 10_000


def test_a_conviction_is_explained_with_its_numbers(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started()
    sdk.post("/sdk/v1/reports", report(evidence=[evidence("canary", 30, 30)]))
    door.clock.advance(10_000)
    door.judge()
    said = operator.get(f"{PATH}/explain").json
    assert (said["verdict"], said["action"], said["outlook"]) == ("fail", "rollback", None)
    finding = said["findings"][0]
    assert (finding["guard"], finding["rule"], finding["effect"]) == ("delivery", "sequential", "rollback")
    assert finding["sentence"] == said["sentence"]
    assert said["arithmetic"]["failed_milli_units"] == finding["failed_milli_units"] == 30_000
    assert said["arithmetic"]["score_micronats"] >= said["arithmetic"]["line_micronats"] > 0


def test_the_evidence_is_drawn_over_time_and_a_peak_is_not_lost(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started()
    for at in range(6):
        failed = 2 if at == 3 else 0
        sdk.post("/sdk/v1/reports", report(f"batch-{at:04}", seq=at, evidence=[evidence("canary", failed, 30)]))
        door.clock.advance(10_000)
        door.judge()
    said = operator.get(f"{PATH}/explain").json
    [line] = [line for line in said["lines"] if (line["guard"], line["stream"]) == ("delivery", EVENT)]
    assert len(line["percent"]) == len(said["times"]) == 6
    assert line["percent"][:3] == [0, 0, 0]
    assert max(line["percent"]) == line["percent"][3] > 0
    assert said["times"] == sorted(said["times"])


def test_alerts_are_listed_while_they_are_open_and_kept_as_history(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started()
    sdk.post("/sdk/v1/reports", report(attempted=9, delivered=5, pending=1, arms=[serves()]))
    door.judge()
    [open_now] = operator.get("/api/v1/alerts").json["items"]
    assert (open_now["rollout"], open_now["name"], open_now["until_ms"]) == ("unified-emitter", "unreconciled", None)
    assert operator.get(PATH).json["alerts"] == [open_now]
    sdk.post("/sdk/v1/reports", report("batch-0002", seq=2, attempted=9, delivered=8, pending=1))
    door.clock.advance(10_000)
    door.judge()
    assert operator.get("/api/v1/alerts").json["items"] == operator.get(PATH).json["alerts"] == []
    [past] = operator.get(f"{PATH}/alerts").json["items"]
    assert past == {**open_now, "until_ms": door.clock()}


def test_an_instance_shows_its_figures_and_what_nobody_will_ever_know(
    operator: Caller, sdk: Caller, door: Door
) -> None:
    operator.started()
    figures = {"attempted": 20, "delivered": 10, "failed": 3, "abandoned": 2, "interrupted": 1, "pending": 3}
    sdk.post("/sdk/v1/reports", report(**figures))
    [live] = operator.get("/api/v1/instances").json["items"]
    assert {name: live[name] for name in figures} == figures
    assert (live["unreconciled"], live["unknown"]) == (1, 0)
    door.clock.advance(125_001)
    [lost] = operator.get("/api/v1/instances").json["items"]
    assert (lost["state"], lost["unknown"]) == ("expired", 4)


def test_users_are_counted_by_arm_and_shown(operator: Caller, sdk: Caller, door: Door) -> None:
    assert operator.started()["users"] is None
    row = {"rollout": "unified-emitter", "epoch": 1}
    tags = [f"{number:012x}" for number in range(30)]
    users = [{**row, "arm": "canary", "tags": tags[:3]}, {**row, "arm": "control", "tags": tags[3:]}]
    sdk.post("/sdk/v1/reports", report(users=users))
    sdk.post("/sdk/v1/reports", report("batch-0002", instance="chat-2", users=users))
    assert operator.get(PATH).json["users"] == {"canary": 3, "control": 27, "one_in": 1}
    door.judge()
    assert operator.get(PATH).json["evaluated_ms"] == door.clock()


def test_a_rollout_whose_constants_cannot_be_read_is_still_shown(
    operator: Caller, sdk: Caller, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.started(guards=[{"action": "pause"}])
    sdk.post("/sdk/v1/reports", report(evidence=[evidence("canary", 30, 30)]))
    door.judge()
    with door.database.write() as connection:
        connection.execute(update(tables.constants).values(canonical='{"form": 99}'))
    monkeypatch.setattr(constants, "_kept", {})
    view = operator.get(PATH).json
    assert (view["phase"], view["analysis"]["verdict"]) == ("paused", "fail")
    assert view["analysis"]["findings"][0]["sentence"] == view["analysis"]["message"]
    assert operator.get("/").status_code == operator.get(f"{PATH}/analyses").status_code == 200
    answer = operator.get(f"{PATH}/explain")
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert "form 99" in answer.json["detail"]
