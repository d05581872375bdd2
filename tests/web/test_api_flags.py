"""/api/v1/flags."""

import pytest

from tests.web.callers import FLAG, Caller, Door


def test_a_new_flag_is_answered_and_published(operator: Caller, sdk: Caller, door: Door) -> None:
    answer = operator.post("/api/v1/flags", {**FLAG, "description": "which emitter"})
    assert answer.status_code == 201
    assert (answer.json["served"], answer.json["version"], answer.json["enabled"]) == ("legacy", 1, True)
    assert sdk.get("/sdk/v1/snapshot").json["flags"]["emitter"]["control"] == "legacy"
    assert len(door.changes) == 1


def test_the_kill_switch_is_one_patch(operator: Caller, sdk: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    killed = operator.patch("/api/v1/flags/emitter", {"version": 1, "enabled": False, "reason": "night"})
    assert (killed.status_code, killed.json["enabled"], killed.json["version"]) == (200, False, 2)
    assert sdk.get("/sdk/v1/snapshot").json["flags"]["emitter"]["enabled"] is False


def test_the_second_of_two_writers_is_told_to_read_again(operator: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    first = operator.patch("/api/v1/flags/emitter", {"version": 1, "served": "unified"})
    second = operator.patch("/api/v1/flags/emitter", {"version": 1, "served": "legacy"})
    assert (first.status_code, second.status_code) == (200, 409)
    assert second.json["code"] == "changed_meanwhile"
    assert "version 2" in second.json["detail"]
    assert operator.get("/api/v1/flags/emitter").json["served"] == "unified"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**FLAG, "colour": "red"}, "colour"),
        ({"variants": {}, "control": "a"}, "key"),
        ({**FLAG, "key": "<script>alert(1)</script>"}, "key"),
        ({**FLAG, "key": "a/b"}, "key"),
        ({**FLAG, "key": 7}, "key"),
        ({**FLAG, "control": "green"}, "control"),
        ({**FLAG, "variants": {"legacy": False}}, "variants"),
        ({**FLAG, "variants": {"legacy": False, "unified": "yes"}}, "variants"),
        ({**FLAG, "description": "x" * 501}, "description"),
    ],
)
def test_a_bad_flag_is_refused_by_field(operator: Caller, body: object, field: str) -> None:
    answer = operator.post("/api/v1/flags", body)
    assert (answer.status_code, answer.json["field"]) == (422, field), answer.text
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize(
    "body", [b"{", b"\xff\xfe", b"[]", b'{"key": "a\\u0000b"}', b'{"key": "\\ud800"}', b"[" * 9000]
)
def test_what_is_no_flag_at_all_is_malformed_and_harmless(operator: Caller, body: bytes) -> None:
    answer = operator.call("POST", "/api/v1/flags", body)
    assert answer.status_code == 422
    assert answer.json["code"] in {"malformed", "invalid"}


def test_a_key_is_taken_once(operator: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    answer = operator.post("/api/v1/flags", FLAG)
    assert (answer.status_code, answer.json["code"]) == (409, "already_exists")


@pytest.mark.parametrize("path", ["nothing", "%00", "a%2Fb", "x" * 200, "%F0%9F%90%A4"])
def test_an_unknown_flag_is_not_found(viewer: Caller, path: str) -> None:
    answer = viewer.get(f"/api/v1/flags/{path}")
    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"


def test_a_list_comes_in_pages(operator: Caller) -> None:
    for key in "abc":
        operator.post("/api/v1/flags", {**FLAG, "key": key})
    first = operator.get("/api/v1/flags?limit=2").json
    second = operator.get(f"/api/v1/flags?limit=2&after={first['next']}").json
    assert [flag["key"] for flag in first["items"] + second["items"]] == ["a", "b", "c"]
    assert second["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=many", "limit=-1", "limit=99999", "after=1e9", "after=٣"])
def test_an_odd_query_is_refused_by_field(viewer: Caller, query: str) -> None:
    answer = viewer.get(f"/api/v1/flags?{query}")
    assert (answer.status_code, answer.json["field"]) == (422, query.partition("=")[0])


def test_every_change_names_who_made_it_in_the_audit(operator: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    operator.patch("/api/v1/flags/emitter", {"version": 1, "enabled": False, "reason": "it burns"})
    entries = operator.get("/api/v1/audit?limit=2").json
    newest, older = entries["items"]
    assert (newest["actor"], newest["action"], newest["reason"]) == ("operator of the tests", "flag.killed", "it burns")
    assert (newest["before"]["enabled"], newest["after"]["enabled"], older["before"]) == (True, False, None)
    assert operator.get(f"/api/v1/audit?before={entries['next']}").json["items"][0]["id"] < older["id"]
