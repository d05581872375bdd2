"""Policies over REST, and what they do to reports that come in."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from controller.domain.principals import Role
from controller.storage.tables import outcomes
from controller.web.app import create_app
from controller.web.keeping import FRESH_S, KnownPolicies
from tests.web.callers import EVENT, FLAG, Caller, Door, report

ALL, ONE = "/api/v1/retention/*", "/api/v1/retention/emitter"


def test_a_flag_inherits_until_it_says_something_itself(operator: Caller, admin: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    changed = admin.patch(ALL, {"version": 0, "raw": "3d", "detail": "sample:10"})
    assert (changed.status_code, changed.json["own"]) == (200, ["raw", "detail"])
    mine = operator.patch(ONE, {"version": 0, "raw": "12h", "reason": "disk"}).json
    assert (mine["raw"], mine["detail"], mine["own"], mine["version"]) == ("12h", "sample:10", ["raw"], 1)
    back = operator.patch(ONE, {"version": 1, "raw": ""}).json
    assert (back["raw"], back["own"]) == ("3d", [])
    assert [one["flag"] for one in operator.get("/api/v1/retention").json["items"]] == ["*", "emitter"]


def test_bad_policies_are_refused_by_the_name_of_their_field(operator: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    refused = operator.patch(ONE, {"version": 0, "raw": "5m"})
    assert (refused.status_code, refused.json["field"]) == (422, "raw")
    refused = operator.patch(ONE, {"version": 0, "detail": "half"})
    assert (refused.status_code, refused.json["field"]) == (422, "detail")
    assert operator.patch(ONE, {"version": 4, "raw": "2d"}).status_code == 409
    assert operator.patch("/api/v1/retention/nothing", {"version": 0, "raw": "2d"}).json["code"] == "unknown_flag"


def test_what_holds_for_everybody_is_an_administrators_to_say(operator: Caller, viewer: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    assert operator.patch(ALL, {"version": 0, "raw": "3d"}).status_code == 403
    assert viewer.patch(ONE, {"version": 0, "raw": "3d"}).status_code == 403
    assert viewer.get(ONE).status_code == viewer.get(ALL).status_code == 200


@pytest.mark.parametrize(("detail", "stored"), [("all", 2), ("failures", 1), ("sample:1000000", 1)])
def test_windows_count_everything_whatever_detail_is_stored(
    door: Door, operator: Caller, secrets: dict[Role, str], detail: str, stored: int
) -> None:
    operator.started()
    operator.patch(ONE, {"version": 0, "detail": detail})
    now = [0.0]
    policies = KnownPolicies(door.database, lambda: now[0])
    sdk = Caller(create_app(door.services(detail=policies.detail)), secrets[Role.SDK])
    sent = {"flag": "emitter", "variant": "unified", "event_type": EVENT, "run": "a-run"}
    rows = [{**sent, "outcome": "delivered"}, {**sent, "outcome": "failed"}]
    assert sdk.post("/sdk/v1/reports", report(counted_by="server", outcomes=rows)).status_code == 200
    with door.database.read() as connection:
        kept = connection.execute(select(outcomes.c.outcome).order_by(outcomes.c.outcome)).scalars().all()
    assert (len(kept), kept[-1]) == (stored, "failed")
    [canary] = [row for row in operator.get("/api/v1/rollouts/unified-emitter").json["health"] if row["attempts"]]
    assert (canary["delivered"], canary["failed"]) == (1, 1)


def test_a_change_of_a_policy_is_followed_within_seconds(door: Door, operator: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    now = [0.0]
    policies = KnownPolicies(door.database, lambda: now[0])
    assert policies.detail("emitter").text == "all"
    operator.patch(ONE, {"version": 0, "detail": "failures"})
    assert policies.detail("emitter").text == "all"
    now[0] = FRESH_S
    assert policies.detail("emitter").text == "failures"
