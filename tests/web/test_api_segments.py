"""Targeting of flags and segments over the REST interface."""

from typing import Any

import pytest

from tests.web.callers import FLAG, Caller, Door

GERMAN = {"attribute": "country", "equals": "DE"}
TARGETING = {
    "deny": ["dora"],
    "allow": {"unified": ["uma"]},
    "rules": [{"name": "germans", "when": {"segment": "german"}, "serve": "unified", "share": "20%"}],
}


@pytest.fixture
def german(operator: Caller) -> dict[str, Any]:
    answer = operator.post("/api/v1/segments", {"key": "german", "when": GERMAN, "description": "by country"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json)


@pytest.mark.usefixtures("german")
def test_targeting_is_answered_as_it_was_written_and_published(operator: Caller, sdk: Caller, door: Door) -> None:
    made = operator.post("/api/v1/flags", {**FLAG, "targeting": TARGETING})
    assert made.status_code == 201, made.text
    assert made.json["targeting"] == TARGETING
    assert made.json["withdrawn"] == []
    snapshot = sdk.get("/sdk/v1/snapshot").json
    assert snapshot["flags"]["emitter"]["targeting"] == TARGETING
    assert snapshot["segments"] == {"german": GERMAN}
    assert len(door.changes) == 2
    shown = operator.get("/api/v1/segments/german").json
    assert (shown["flags"], shown["when"], shown["version"]) == (["emitter"], GERMAN, 1)


def test_a_segment_is_changed_listed_and_removed(operator: Caller, viewer: Caller, german: dict[str, Any]) -> None:
    changed = operator.patch("/api/v1/segments/german", {"version": 1, "when": {"not": GERMAN}, "reason": "turned"})
    assert (changed.status_code, changed.json["version"], changed.json["when"]) == (200, 2, {"not": GERMAN})
    assert [item["key"] for item in viewer.get("/api/v1/segments").json["items"]] == [german["key"]]
    assert operator.call("DELETE", "/api/v1/segments/german?version=1").status_code == 409
    assert operator.call("DELETE", "/api/v1/segments/german?version=2").status_code == 204
    assert viewer.get("/api/v1/segments/german").status_code == 404


@pytest.mark.usefixtures("german")
def test_a_segment_in_use_is_not_removed(operator: Caller) -> None:
    operator.post("/api/v1/flags", {**FLAG, "targeting": TARGETING})
    answer = operator.call("DELETE", "/api/v1/segments/german?version=1")
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert "flag 'emitter' names it" in answer.json["detail"]


@pytest.mark.parametrize(
    ("targeting", "field"),
    [
        ({"rules": [{"when": {"segment": "german"}, "serve": "unified"}]}, "targeting.rules"),
        ({"rules": [{"when": GERMAN, "serve": "green"}]}, "targeting.rules[0].serve"),
        ({"rules": [{"when": {"attribute": "a b", "equals": 1}, "serve": "unified"}]},
         "targeting.rules[0].when.attribute"),
        ({"rules": [{"when": {"attribute": "v", "semver": "new"}, "serve": "unified"}]},
         "targeting.rules[0].when.semver"),
        ({"rules": [{"when": {"attribute": "v"}, "serve": "unified"}]}, "targeting.rules[0].when"),
        ({"allow": {"green": ["u"]}}, "targeting.allow"),
        ({"deny": ["u", "u"]}, "targeting.deny[1]"),
        ({"denied": []}, "targeting.denied"),
        ({"prerequisites": ["other"]}, "targeting.prerequisites"),
    ],
)  # fmt: skip
def test_bad_targeting_is_refused_by_field(operator: Caller, targeting: object, field: str) -> None:
    operator.post("/api/v1/flags", FLAG)
    for answer in (
        operator.post("/api/v1/flags", {**FLAG, "key": "other", "targeting": targeting}),
        operator.patch("/api/v1/flags/emitter", {"version": 1, "targeting": targeting}),
    ):
        assert (answer.status_code, answer.json["field"]) == (422, field), answer.text


def test_prerequisites_are_refused_with_the_reason(operator: Caller) -> None:
    answer = operator.post("/api/v1/flags", {**FLAG, "prerequisites": [{"flag": "other"}]})
    assert (answer.status_code, answer.json["field"]) == (422, "prerequisites")
    assert "write the condition as a segment" in answer.json["detail"]


def test_only_operators_touch_segments(viewer: Caller, sdk: Caller, nobody: Caller) -> None:
    body = {"key": "german", "when": GERMAN}
    assert viewer.post("/api/v1/segments", body).status_code == 403
    assert sdk.get("/api/v1/segments").status_code == 403
    assert nobody.get("/api/v1/segments").status_code == 401
