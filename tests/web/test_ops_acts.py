"""Buttons on rollouts: each asks for a reason, says what will happen, and tells the loser of a race."""

import pytest

from tests.web.callers import FLAG, MANIFEST, Caller, Door, evidence, report
from tests.web.pages import HOSTILE, Page, page_of, read, send

HERE = "/rollouts/unified-emitter"


def phase(caller: Caller, key: str = "unified-emitter") -> str:
    return str(caller.get(f"/api/v1/rollouts/{key}").json["phase"])


def act(caller: Caller, verb: str, **fields: str) -> Page:
    """An act that must be done; the page that it leads to."""
    answer = send(caller, f"{HERE}/act/{verb}", **{"reason": "as agreed", **fields})
    assert answer.status_code == 303, answer.text
    return page_of(caller, answer.headers["Location"])


def test_rolling_back_is_a_confirmation_with_a_reason(operator: Caller, door: Door) -> None:
    operator.started()
    page = page_of(operator, f"{HERE}/act/rollback")
    assert "Everybody is served legacy at once" in page.text
    assert "users complain" in page.text
    done = act(operator, "rollback", reason="users complain")
    assert "Rolling back: everybody is served the control" in done.text
    assert "rollback by operator of the tests: users complain" in done.text
    assert phase(operator) == "rolling_back"
    assert door.changes


@pytest.mark.parametrize("reason", ["", "   "])
def test_nothing_is_done_without_a_reason(operator: Caller, reason: str) -> None:
    operator.started()
    page = read(send(operator, f"{HERE}/act/rollback", reason=reason), 422)
    assert "say why in a few words" in page.text
    assert phase(operator) == "progressing"


def test_from_every_page_the_one_live_rollout_is_a_tap_away(operator: Caller) -> None:
    operator.started()
    page = page_of(operator, "/rollback")
    assert page.all("form", action=f"{HERE}/act/rollback")


def test_of_several_live_rollouts_one_is_chosen_first(operator: Caller) -> None:
    operator.started(allow_overlap=True)
    operator.post("/api/v1/flags", {**FLAG, "key": "other"})
    operator.post("/api/v1/rollouts", {**MANIFEST, "rollout": "second", "flag": "other", "allow_overlap": True})
    operator.post("/api/v1/rollouts/second/start")
    page = page_of(operator, "/rollback")
    assert {f"{HERE}/act/rollback", "/rollouts/second/act/rollback"} <= page.links


def test_with_nothing_under_way_there_is_nothing_to_roll_back(operator: Caller) -> None:
    assert "No rollout is under way" in page_of(operator, "/rollback").text


def test_the_verbs_of_a_ramp(operator: Caller, door: Door) -> None:
    operator.post("/api/v1/flags", FLAG)
    operator.post("/api/v1/rollouts", MANIFEST)
    assert "10 % of the users of emitter are moved to unified" in page_of(operator, f"{HERE}/act/start").text
    act(operator, "start", version="1")
    assert "Paused: the share stays" in act(operator, "pause").text
    assert "Resumed" in act(operator, "resume").text
    assert "Share set by hand" in act(operator, "set-share", share="25").text
    assert "25 % of the users" in page_of(operator, HERE).text
    assert "Advanced" in act(operator, "advance").text
    assert "Promoted: everybody" in act(operator, "promote").text
    assert phase(operator) == "promoted"
    assert len(door.changes) >= 6


def test_only_verbs_that_fit_are_offered(operator: Caller) -> None:
    operator.started()
    links = page_of(operator, HERE).links
    assert {f"{HERE}/act/{verb}" for verb in ("advance", "pause", "set-share", "promote", "rollback")} <= links
    assert not {f"{HERE}/act/{verb}" for verb in ("start", "resume", "approve", "re-arm", "abort")} & links
    assert "This cannot be done while the rollout is progressing" in page_of(operator, f"{HERE}/act/resume").text


def test_the_loser_of_a_race_is_told_and_keeps_what_was_written(operator: Caller) -> None:
    operator.started()
    shown = page_of(operator, f"{HERE}/act/advance").field("version")
    act(operator, "set-share", share="20")
    page = read(send(operator, f"{HERE}/act/advance", reason="looks fine to me", version=str(shown)), 409)
    assert "Somebody else changed this in the meantime" in page.text
    assert "20 % on unified" in page.text
    assert page.field("reason") == "looks fine to me"
    assert operator.get("/api/v1/rollouts/unified-emitter").json["share_percent"] == 20


def test_a_rollback_does_not_care_what_changed_meanwhile(operator: Caller) -> None:
    operator.started()
    page = page_of(operator, f"{HERE}/act/rollback")
    assert page.field("version") is None
    act(operator, "advance")
    act(operator, "rollback")
    assert phase(operator) == "rolling_back"


def test_who_comes_second_to_a_rollback_is_told_that_it_is_under_way(operator: Caller) -> None:
    operator.started()
    act(operator, "rollback")
    page = read(send(operator, f"{HERE}/act/rollback", reason="me too"), 409)
    assert "it is being taken back already" in page.text


def test_going_against_a_guard_takes_force_and_says_what_it_says(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started(guards=[{"name": "delivery", "at_least": "95%", "action": "pause"}])
    sdk.post("/sdk/v1/reports", report(evidence=[evidence("canary", 30, 30)]))
    door.judge()
    assert phase(operator) == "paused"
    page = page_of(operator, f"{HERE}/act/promote")
    assert "A guard speaks against this" in page.text
    refused = read(send(operator, f"{HERE}/act/promote", reason="we know"), 409)
    assert "30 of the last 30 users failed" in refused.text
    act(operator, "promote", reason="we know", force="yes")
    assert phase(operator) == "promoted"


def test_an_approval_is_asked_for_by_its_own_button(operator: Caller, admin: Caller) -> None:
    stages = [{"share": "10%", "bake": "1m"}, {"share": "100%", "bake": "1m", "approval": "required"}]
    operator.started(stages=stages)
    assert (
        "Whoever starts a rollout cannot approve"
        in read(send(operator, f"{HERE}/act/approve", reason="mine"), 403).text
    )
    assert "Approved" in act(admin, "approve").text


def test_a_rollback_is_labelled_by_whoever_knows(operator: Caller, door: Door) -> None:
    operator.started()
    act(operator, "rollback")
    door.verify()
    answer = send(operator, f"{HERE}/label", right="no", reason="it was the load balancer")
    assert answer.status_code == 303
    assert "Labelled false by operator of the tests: it was the load balancer" in page_of(operator, HERE).text


def test_re_arming_offers_to_lift_the_quarantine(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started(cool_down="0s")
    arms = [{"flag": "emitter", "variant": "unified", "open_runs": 0}]
    rows = {"app_version": "2.0.0", "arms": arms, "evidence": [evidence("canary", 30, 30)]}
    sdk.post("/sdk/v1/reports", report(**rows))
    door.judge()
    sdk.post("/sdk/v1/reports", report("batch-0002", seq=2, revision=99, app_version="2.0.0", arms=arms, closing=True))
    door.verify()
    page = page_of(operator, f"{HERE}/act/re-arm")
    assert "2.0.0" in page.text
    act(operator, "re-arm", lift="2.0.0")
    assert phase(operator) == "draft"
    assert operator.get("/api/v1/quarantines").json["items"] == []


def test_the_script_gets_the_part_inside_the_dialog(operator: Caller) -> None:
    operator.started()
    part = operator.get(f"{HERE}/act/rollback", {"HX-Request": "true"})
    assert part.status_code == 200
    assert "<html" not in part.text
    refused = send(operator, f"{HERE}/act/rollback", part=True, reason="")
    assert refused.status_code == 422
    assert "<html" not in refused.text
    done = send(operator, f"{HERE}/act/rollback", part=True, reason="users complain")
    assert (done.status_code, done.headers["HX-Redirect"]) == (204, f"{HERE}?done=rollback")


def test_who_only_reads_is_offered_no_act_and_refused(operator: Caller, viewer: Caller) -> None:
    operator.started()
    links = page_of(viewer, HERE).links
    assert not [link for link in links if "/act/" in link and not link.endswith("rollback")]
    assert send(viewer, f"{HERE}/act/rollback", reason="let me").status_code == 403
    assert phase(operator) == "progressing"


def test_hostile_reasons_and_acts_are_only_ever_text(operator: Caller) -> None:
    operator.started()
    act(operator, "pause", reason=HOSTILE)
    for path in (HERE, "/audit", "/"):
        page = page_of(operator, path)
        assert not page.all("img")
    assert HOSTILE in page_of(operator, HERE).text
    act(operator, "resume")
    refused = read(send(operator, f"{HERE}/act/advance", reason=HOSTILE, version="1"), 409)
    assert refused.field("reason") == HOSTILE
    assert "alert(" not in page_of(operator, f"{HERE}?done=<script>alert(1)</script>").text.replace(HOSTILE, "")


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"reason": "x" * 501}, 422), ({"reason": "a\0b"}, 422), ({"reason": "x", "version": "one"}, 422)],
)
def test_odd_forms_are_refused_and_nothing_is_done(operator: Caller, fields: dict[str, str], status: int) -> None:
    operator.started()
    assert send(operator, f"{HERE}/act/pause", **fields).status_code == status
    assert phase(operator) == "progressing"


def test_a_form_that_is_too_large_is_refused(operator: Caller) -> None:
    operator.started()
    assert send(operator, f"{HERE}/act/pause", reason="x" * 300_000).status_code == 413


def test_an_act_that_there_is_not_is_a_page(operator: Caller) -> None:
    operator.started()
    assert read(operator.get(f"{HERE}/act/explode"), 404)
    assert send(operator, f"{HERE}/act/explode", reason="why not").status_code == 404
