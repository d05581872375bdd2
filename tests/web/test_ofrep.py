"""OFREP to the letter: forms, statuses and headers, and what hostile requests are answered."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
from flask import Flask

from controller.domain.evaluation import evaluate
from controller.domain.principals import Role
from controller.storage import instances
from controller.storage.database import Database
from controller.web.app import create_app
from controller.web.channels import PERIOD_MS, Channels
from controller.web.pace import Pace
from controller.web.state import FlagState
from controller.wire.snapshots import from_wire
from tests.clocks import FakeClock
from tests.web.callers import FLAG, Caller, Door

ONE, ALL = "/ofrep/v1/evaluate/flags/emitter", "/ofrep/v1/evaluate/flags"
ANNA = {"context": {"targetingKey": "anna"}}
REASONS = {"STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN"}
GERMAN = {"attribute": "country", "equals": "DE"}


@pytest.fixture
def page(app: Flask, secrets: dict[Role, str]) -> Caller:
    """Somebody who may ask for answers and nothing else."""
    return Caller(app, secrets[Role.EVALUATOR])


def user(key: str = "anna", **attributes: Any) -> dict[str, Any]:
    return {"context": {"targetingKey": key, **attributes}}


def test_a_flag_is_answered_with_value_variant_reason_and_flat_metadata(operator: Caller, page: Caller) -> None:
    operator.started(stages=[{"share": "50%", "bake": "1m"}, {"share": "100%", "bake": "1m"}])
    answer = page.post(ONE, ANNA)
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.json["key"] == "emitter"
    assert answer.json["reason"] == "SPLIT"
    assert answer.json["value"] is (answer.json["variant"] == "unified")
    said = answer.json["metadata"]
    assert said == {"flagSetId": "default", "version": 1, "rollout": "unified-emitter", "epoch": 1}


def test_it_answers_as_the_domain_does(operator: Caller, page: Caller, sdk: Caller) -> None:
    operator.started(stages=[{"share": "50%", "bake": "1m"}, {"share": "100%", "bake": "1m"}])
    flag = from_wire(sdk.get("/sdk/v1/snapshot").data).flags["emitter"]
    for key in map(str, range(200)):
        assert page.post(ONE, user(key)).json["variant"] == evaluate(flag, key).variant


def test_every_reason_is_one_that_the_protocol_knows(operator: Caller, page: Caller) -> None:
    rules = [{"when": GERMAN, "serve": "unified"}, {"when": {"not": GERMAN}, "serve": "unified", "share": "50%"}]
    for key, fields in {
        "static": {}, "killed": {"enabled": False}, "ruled": {"targeting": {"rules": rules[:1]}},
        "shared": {"targeting": {"rules": rules[1:]}},
    }.items():  # fmt: skip
        assert operator.post("/api/v1/flags", {**FLAG, "key": key, **fields}).status_code == 201
    french = {found["key"]: found for found in page.post(ALL, user(country="FR")).json["flags"]}
    german = {found["key"]: found for found in page.post(ALL, user(country="DE")).json["flags"]}
    assert {key: found["reason"] for key, found in french.items()} == {
        "static": "STATIC", "killed": "DISABLED", "ruled": "UNKNOWN", "shared": "SPLIT",
    }  # fmt: skip
    assert (german["ruled"]["reason"], german["ruled"]["metadata"]["rule"]) == ("TARGETING_MATCH", "#1")
    assert {found["reason"] for found in (*french.values(), *german.values())} <= REASONS


def test_floats_are_written_as_floats(operator: Caller, page: Caller) -> None:
    operator.post("/api/v1/flags", {"key": "rate", "variants": {"a": 1, "b": 2.5}, "control": "a"})
    assert b'"value":1.0' in page.post("/ofrep/v1/evaluate/flags/rate", ANNA).data


def test_every_answer_of_every_type_has_a_value(operator: Caller, page: Caller) -> None:
    for key, variants in {"t": ("x", "y"), "n": (1, 2), "o": ({"a": [1]}, {}), "b": (True, False)}.items():
        body = {"key": key, "variants": dict(zip("ab", variants, strict=True)), "control": "a"}
        operator.post("/api/v1/flags", body)
    values = {found["key"]: found["value"] for found in page.post(ALL, ANNA).json["flags"]}
    assert values == {"t": "x", "n": 1, "o": {"a": [1]}, "b": True}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"\xff\xfe", "PARSE_ERROR"),
        (b"[]", "PARSE_ERROR"),
        (b"null", "PARSE_ERROR"),
        (b'"text"', "PARSE_ERROR"),
        (b"[" * 20_000, "PARSE_ERROR"),
        (b'{"context": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}", "PARSE_ERROR"),
        (b'{"context": {"targetingKey": "\\ud800"}}', "PARSE_ERROR"),
        (b'{"context": {"targetingKey": NaN}}', "PARSE_ERROR"),
        (b'{"context": {"targetingKey": "a", "x": Infinity}}', "PARSE_ERROR"),
        (b"", "TARGETING_KEY_MISSING"),
        (b"{}", "TARGETING_KEY_MISSING"),
        (b'{"context": {}}', "TARGETING_KEY_MISSING"),
        (b'{"context": {"targetingKey": ""}}', "TARGETING_KEY_MISSING"),
        (b'{"context": {"targetingKey": null}}', "TARGETING_KEY_MISSING"),
        (b'{"context": null}', "INVALID_CONTEXT"),
        (b'{"context": []}', "INVALID_CONTEXT"),
        (b'{"context": "anna"}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": 7}}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": ["a"]}}', "INVALID_CONTEXT"),
    ],
)
def test_a_request_that_cannot_be_evaluated_is_a_400_with_its_code(
    operator: Caller, page: Caller, body: bytes, code: str
) -> None:
    operator.post("/api/v1/flags", FLAG)
    single, bulk = page.call("POST", ONE, body), page.call("POST", ALL, body)
    assert (single.status_code, single.json["errorCode"], single.json["key"]) == (400, code, "emitter")
    assert (bulk.status_code, bulk.json["errorCode"], "key" in bulk.json) == (400, code, False)
    assert single.json["errorDetails"]
    assert bulk.json["errorDetails"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "nonsense"])
def test_a_body_is_read_whatever_its_type_is_called(operator: Caller, page: Caller, kind: str) -> None:
    operator.post("/api/v1/flags", FLAG)
    assert page.post(ONE, ANNA, {"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize("key", ["nothing", "a/b", "a%2Fb", "a//b", "é", "%00", "..", "%ff", "x" * 3_000])
def test_an_unknown_flag_is_a_json_404_whatever_its_key(page: Caller, key: str) -> None:
    answer = page.post(f"/ofrep/v1/evaluate/flags/{key}", ANNA)
    assert (answer.status_code, answer.mimetype) == (404, "application/json")
    assert answer.json["errorCode"] == "FLAG_NOT_FOUND"
    assert answer.json["errorDetails"]
    assert "key" in answer.json


def test_an_unknown_flag_is_unknown_also_without_a_user(page: Caller) -> None:
    assert page.post("/ofrep/v1/evaluate/flags/nothing", {}).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ONE), ("GET", ALL), ("PUT", ALL), ("POST", "/ofrep/v1/evaluate/flags/"), ("GET", "/ofrep/v1/nothing")],
)
def test_what_is_not_in_the_protocol_is_a_json_error(page: Caller, method: str, path: str) -> None:
    answer = page.call(method, path, None if method == "GET" else b"{}")
    assert (answer.status_code, answer.mimetype) == (404, "application/json")
    assert answer.json["errorDetails"]


def test_without_a_token_or_with_one_that_may_not_the_form_is_the_protocols(nobody: Caller, viewer: Caller) -> None:
    for caller, status in ((nobody, 401), (viewer, 403)):
        for path in (ONE, ALL):
            answer = caller.post(path, ANNA)
            assert (answer.status_code, answer.mimetype) == (status, "application/json")
            assert answer.json["errorDetails"]
    assert nobody.post(ALL, ANNA).headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_may_come_as_an_api_key(nobody: Caller, secrets: dict[Role, str]) -> None:
    assert nobody.post(ALL, ANNA, {"X-API-Key": secrets[Role.EVALUATOR]}).status_code == 200
    assert nobody.post(ALL, ANNA, {"X-API-Key": "wrong"}).status_code == 401


def test_a_token_for_pages_opens_nothing_else(page: Caller) -> None:
    assert page.get("/sdk/v1/snapshot").status_code == 403
    assert page.post("/sdk/v1/reports", {}).status_code == 403
    assert page.get("/api/v1/flags").status_code == 403
    assert page.get("/flagd/flags.json").status_code == 403


def test_too_many_requests_are_told_to_wait_whole_seconds(door: Door, secrets: dict[Role, str]) -> None:
    seconds = itertools.chain([5.0] * 4, itertools.repeat(6.0))
    pace = Pace(2, lambda: next(seconds))
    page = Caller(create_app(door.services(pace=pace)), secrets[Role.EVALUATOR])
    found = [page.post(ALL, ANNA) for _ in range(5)]
    assert [answer.status_code for answer in found] == [200, 200, 429, 429, 200]
    assert found[2].headers["Retry-After"] == "1"
    assert found[2].json["errorDetails"]


def test_a_crash_is_a_500_in_the_protocols_form_without_a_trace(
    page: Caller, operator: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.post("/api/v1/flags", FLAG)

    def crash(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("controller.web.answers.Answers.every", crash)
    answer = page.post(ALL, ANNA)
    assert (answer.status_code, answer.mimetype) == (500, "application/json")
    assert "errorDetails" in answer.json
    assert "secret" not in answer.text


def test_a_body_beyond_the_limit_is_refused_in_the_protocols_form(page: Caller) -> None:
    answer = page.post(ALL, user(padding="x" * 70_000))
    assert (answer.status_code, answer.mimetype) == (413, "application/json")
    assert page.post(ALL, user("x" * 10_000)).status_code == 200


# --- bulk: the answer and its tag -----------------------------------------------------------------------------------


def test_all_flags_come_in_one_answer(operator: Caller, page: Caller) -> None:
    for key in "cab":
        operator.post("/api/v1/flags", {**FLAG, "key": key})
    answer = page.post(ALL, ANNA).json
    assert [found["key"] for found in answer["flags"]] == ["a", "b", "c"]
    assert answer["metadata"] == {"flagSetId": "default"}


def test_a_client_that_holds_the_answer_is_told_so_without_a_body(operator: Caller, page: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    etag = page.post(ALL, ANNA).headers["ETag"]
    assert etag.startswith('"')
    for held in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = page.post(ALL, ANNA, {"If-None-Match": held})
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", etag)
    assert page.post(ALL, ANNA, {"If-None-Match": '"other"'}).status_code == 200


def test_the_tag_covers_the_answer_of_this_user_in_this_context(operator: Caller, page: Caller) -> None:
    rules = [{"when": GERMAN, "serve": "unified"}]
    operator.post("/api/v1/flags", {**FLAG, "targeting": {"rules": rules, "deny": ["dora"]}})
    etag = page.post(ALL, user("anna", country="FR")).headers["ETag"]
    for asked, status in (
        (user("anna", country="FR"), 304),
        (user("bob", country="FR"), 304),  # the same answers
        (user("anna", country="DE"), 200),  # the same user, another context
        (user("dora", country="FR"), 200),  # the same variant, for another reason
    ):
        assert page.post(ALL, asked, {"If-None-Match": etag}).status_code == status


def test_a_change_of_any_answer_changes_the_tag_and_a_change_of_none_does_not(operator: Caller, page: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    operator.post("/api/v1/segments", {"key": "german", "when": GERMAN})
    etag = page.post(ALL, ANNA).headers["ETag"]
    operator.patch("/api/v1/segments/german", {"version": 1, "when": {"not": GERMAN}})
    assert page.post(ALL, ANNA, {"If-None-Match": etag}).status_code == 304
    operator.patch("/api/v1/flags/emitter", {"version": 1, "enabled": False})
    changed = page.post(ALL, ANNA, {"If-None-Match": etag})
    assert (changed.status_code, changed.json["flags"][0]["reason"]) == (200, "DISABLED")


def test_a_bulk_answer_names_a_stream_that_opens_for_some_minutes(
    operator: Caller, page: Caller, clock: FakeClock
) -> None:
    operator.post("/api/v1/flags", FLAG)
    first = page.post(ALL, ANNA)
    (stream,) = first.json["eventStreams"]
    assert (stream["type"], stream["inactivityDelaySec"]) == ("sse", 120)
    path, _, token = stream["endpoint"]["requestUri"].partition("?channel=")
    assert path == "/ofrep/v1/events"
    assert set(stream["endpoint"]) == {"requestUri"}  # relative to where the client found us, also behind a proxy
    channels = Channels(lambda: b"the key of these tests", clock)
    assert channels.lets_in(token)
    clock.advance(PERIOD_MS)
    assert channels.lets_in(token)
    # A client that holds the answer must hear of the new token before its own expires.
    renewed = page.post(ALL, ANNA, {"If-None-Match": first.headers["ETag"]})
    assert renewed.status_code == 200
    clock.advance(PERIOD_MS)
    assert not channels.lets_in(token)


@pytest.mark.parametrize("token", ["", "x", "1.2", "é", "9" * 500, "\x00"])
def test_what_is_no_channel_token_opens_nothing(clock: FakeClock, token: str) -> None:
    assert not Channels(lambda: b"key", clock).lets_in(token)
    assert not Channels(lambda: b"key", clock).lets_in(Channels(lambda: b"other", clock).token())


def test_a_client_that_was_told_of_something_newer_is_answered_with_it(
    operator: Caller, secrets: dict[Role, str], door: Door, database: Database
) -> None:
    """Another replica made the change; this one asks its database as soon as a client says that there is one."""
    operator.post("/api/v1/flags", FLAG)
    door.flags = FlagState(database, lambda: 100.0)  # a clock that stands still: nothing ever looks old
    page = Caller(create_app(door.services()), secrets[Role.EVALUATOR])
    assert page.post(ALL, ANNA).json["flags"][0]["reason"] == "STATIC"
    operator.patch("/api/v1/flags/emitter", {"version": 1, "enabled": False})
    assert page.post(ALL, ANNA).json["flags"][0]["reason"] == "STATIC"
    newest = door.flags.fresh().revision + 1
    told = page.post(f"{ALL}?flagConfigEtag={newest}&flagConfigLastModified=1771622898", ANNA)
    assert told.json["flags"][0]["reason"] == "DISABLED"


@pytest.mark.parametrize("etag", ["", "x", "-1", "1e9", "9" * 300, "%00", "\u0665"])
def test_an_odd_hint_is_no_harm(page: Caller, etag: str) -> None:
    assert page.post(f"{ALL}?flagConfigEtag={etag}&flagConfigLastModified=x", ANNA).status_code == 200


def test_without_its_database_it_answers_on_and_serves_the_control_when_the_lease_is_over(
    operator: Caller, secrets: dict[Role, str], door: Door, database: Database
) -> None:
    operator.started(stages=[{"share": "100%", "bake": "1m"}])
    now = [100.0]
    door.flags = FlagState(database, lambda: now[0])
    page = Caller(create_app(door.services()), secrets[Role.EVALUATOR])
    assert page.post(ONE, ANNA).json["variant"] == "unified"
    door.flags._database = Away()  # type: ignore[assignment]
    now[0] += 120
    assert page.post(ONE, ANNA).json["variant"] == "unified"
    now[0] += 1
    lapsed = page.post(ONE, ANNA).json
    assert (lapsed["variant"], lapsed["reason"], lapsed["metadata"]["reason"]) == ("legacy", "UNKNOWN", "lease")


class Away:
    """A database that cannot be reached."""

    def read(self) -> Any:
        from controller.domain.errors import Unavailable  # noqa: PLC0415 - used here alone

        raise Unavailable("away")


# --- what stays behind ----------------------------------------------------------------------------------------------


def test_a_token_that_evaluates_is_listed_as_unverifiable_and_no_user_is_written_down(
    page: Caller, operator: Caller, door: Door, database: Database
) -> None:
    operator.post("/api/v1/flags", FLAG)
    page.post(ALL, user("a-user-of-flesh-and-blood"))
    with database.read() as connection:
        (found,) = instances.every(connection)
        tables = connection.exec_driver_sql("SELECT id, app_version, region, sdk FROM instances").all()
    assert found.id.startswith("ofrep/evaluator")
    assert (found.reports, found.last_contact_ms) == (False, door.clock())
    assert "flesh" not in str(tables)


def test_hostile_contexts_have_answers(operator: Caller, page: Caller) -> None:
    when = {"or": [GERMAN, {"attribute": "a.b.c", "at_least": 3}, {"attribute": "v", "semver": ">= 1.0.0"}]}
    operator.post("/api/v1/flags", {**FLAG, "targeting": {"rules": [{"when": when, "serve": "unified"}]}})
    deep: Any = {"c": 5}
    for _ in range(200):
        deep = {"b": deep, "a": deep if len(json.dumps(deep)) < 2_000 else 1}
    for attributes in (
        {"country": None}, {"country": ["DE"]}, {"country": {"x": "DE"}}, {"country": 1e308}, {"country": "\x00"},
        {"a": 7}, {"a": {"b": [1]}}, {"a": {"b": {"c": "3"}}}, {"a": deep}, {"v": "9" * 5_000}, {"v": -1},
        {"": 1, "__proto__": {"x": 1}, "constructor": 2}, {"country": "x" * 10_000},
    ):  # fmt: skip
        answer = page.post(ONE, user("\x00 🎉 '; --", **attributes))
        assert (answer.status_code, answer.json["variant"]) == (200, "legacy")
    assert page.post(ONE, user(a={"b": {"c": 3}})).json["variant"] == "unified"


def test_the_pace_forgets_tokens_it_has_not_seen_for_a_second() -> None:
    now = [0.0]
    pace = Pace(1, lambda: now[0])
    for number in range(5_000):
        pace.admit(f"token-{number}")
    assert len(pace._counts) <= 1_001
    Pace(0, time.monotonic).admit("anybody")
