"""The short way for evaluations: it answers what Flask would, or leaves it to Flask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller.domain.principals import Role
from controller.storage.database import Database
from controller.web.access import gate_of
from controller.web.app import create_app
from controller.web.express import Express
from controller.web.gateway import Answer
from controller.web.pace import Pace
from controller.web.services import Services
from controller.web.state import FlagState
from tests.web.callers import FLAG, Caller, Door

ONE, ALL = "/ofrep/v1/evaluate/flags/emitter", "/ofrep/v1/evaluate/flags"
ANNA = b'{"context":{"targetingKey":"anna","country":"DE"}}'
RULE = {"when": {"attribute": "country", "equals": "DE"}, "serve": "unified"}

BODIES = [
    ANNA,
    b'{"context":{"targetingKey":"otto","country":"FR"}}',
    b"",
    b"[]",
    b"{",
    b'{"context":{"targetingKey":7}}',
    b'{"context":[]}',
    b'{"context":{"targetingKey":"\\ud800\\u0000"}}',
    json.dumps({"context": {"targetingKey": "x" * 10_000}}).encode(),
    b'{"context":{"targetingKey":"a","deep":' + b"[" * 5_000 + b"]" * 5_000 + b"}}",
]


class Clock:
    """Monotonic seconds that pass when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Lane:
    """Both ways to the same answer."""

    def __init__(self, services: Services, token: str) -> None:
        self.app = create_app(services)
        self.express = Express(services, gate_of(self.app))
        self.flask = Caller(self.app, token)
        self.token = token

    def short(self, path: str, body: bytes = ANNA, method: str = "POST", **headers: str) -> Answer | None:
        """The short way."""
        said = {"authorization": f"Bearer {self.token}", "content-type": "application/json"} | headers
        fields = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in said.items()]
        path, _, query = path.partition("?")
        scope = {"method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode()}
        return self.express({**scope, "headers": fields}, body)

    def both(self, path: str, body: bytes = ANNA, **headers: str) -> tuple[Any, Any]:
        """Status, fields and body of the short and of the long way; the request's own id is left out."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        long = self.flask.call("POST", path, body, {"Content-Type": "application/json", **named})
        short = self.short(path, body, **headers)
        assert short is not None
        fields = {name.decode(): value.decode() for name, value in short.headers}
        return (short.status, _comparable(fields), short.body), (
            long.status_code,
            _comparable({name.lower(): value for name, value in long.headers.items()}),
            long.data,
        )


def _comparable(fields: Mapping[str, str]) -> dict[str, str]:
    assert len(fields["x-request-id"]) == 16
    return {name: value for name, value in fields.items() if name != "x-request-id"}


@pytest.fixture
def clock_s() -> Clock:
    return Clock()


@pytest.fixture
def shared(door: Door, database: Database, clock_s: Clock) -> Services:
    return replace(door.services(), flags=FlagState(database, clock_s))


@pytest.fixture
def lane(operator: Caller, shared: Services, secrets: dict[Role, str]) -> Lane:
    operator.post("/api/v1/flags", {**FLAG, "targeting": {"rules": [RULE]}})
    operator.post("/api/v1/flags", {"key": "rate", "variants": {"a": 1, "b": 2.5}, "control": "a"})
    made = Lane(shared, secrets[Role.EVALUATOR])
    assert made.flask.call("POST", ALL, ANNA).status_code == 200
    return made


def test_every_request_gets_the_same_answer_on_either_way(lane: Lane) -> None:
    for path in (ONE, ALL, "/ofrep/v1/evaluate/flags/nothing-of-this-name"):
        for body in BODIES:
            short, long = lane.both(path, body)
            assert short == long, (path, body[:80])


def test_an_unchanged_answer_and_a_page_of_another_origin_are_told_the_same(lane: Lane) -> None:
    answer = lane.short(ALL)
    assert answer is not None
    etag = dict(answer.headers)[b"etag"].decode()
    for held in (etag, f"W/{etag}", f'"other", {etag}', "*", '"other"'):
        short, long = lane.both(ALL, if_none_match=held, origin="https://shop.example")
        assert short == long
        assert short[0] == (200 if held == '"other"' else 304)
        assert short[1]["access-control-allow-origin"] == "*"


def test_what_is_unusual_goes_the_long_way(lane: Lane) -> None:
    assert lane.short(ONE) is not None
    for path in (
        f"{ONE}?flagConfigEtag=9", f"{ALL}/", f"{ALL}s", f"{ALL}/a%2fb", "/ofrep/v1/configuration", "/api/v1/flags",
    ):  # fmt: skip
        assert lane.short(path) is None
    assert lane.short(ONE, method="OPTIONS") is None
    assert lane.short(ONE, b" " * 65_537) is None
    for field in ("content_encoding", "x_request_id", "x_api_key"):
        assert lane.short(ONE, **{field: "gzip"}) is None
    twice = {"headers": [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")]}
    scope = {"method": "POST", "path": ONE, "raw_path": ONE.encode(), "query_string": b"", **twice}
    assert lane.express(scope, ANNA) is None


def test_a_token_that_is_unknown_or_may_not_evaluate_is_left_to_flask(
    lane: Lane, viewer: Caller, secrets: dict[Role, str]
) -> None:
    assert lane.short(ONE, authorization="Bearer nobody") is None
    assert lane.short(ONE, authorization="Basic x") is None
    assert lane.flask.get("/api/v1/flags").status_code == 403
    reader = Caller(lane.app, secrets[Role.VIEWER])
    assert reader.get("/api/v1/flags").status_code == 200
    assert lane.short(ONE, authorization=f"Bearer {secrets[Role.VIEWER]}") is None
    assert viewer.post(ONE, json.loads(ANNA)).status_code == 403


def test_flags_that_may_have_changed_are_read_again_first(
    lane: Lane, operator: Caller, shared: Services, clock_s: Clock
) -> None:
    killed = operator.patch("/api/v1/flags/emitter", {"version": 1, "enabled": False})
    assert killed.status_code == 200
    shared.flags.changed()
    assert lane.short(ONE) is None
    assert lane.flask.call("POST", ONE, ANNA).json["reason"] == "DISABLED"
    again = lane.short(ONE)
    assert again is not None
    assert json.loads(again.body)["reason"] == "DISABLED"
    clock_s.now += 1.0
    assert lane.short(ONE) is None


def test_the_limit_of_a_token_holds_on_both_ways(
    door: Door, operator: Caller, database: Database, clock_s: Clock, secrets: dict[Role, str]
) -> None:
    operator.post("/api/v1/flags", FLAG)
    limited = replace(door.services(pace=Pace(3, clock_s)), flags=FlagState(database, clock_s))
    lane = Lane(limited, secrets[Role.EVALUATOR])
    assert lane.flask.call("POST", ONE, ANNA).status_code == 200
    assert [lane.short(ONE) is not None for _ in range(4)] == [True, True, False, False]
    assert lane.flask.call("POST", ONE, ANNA).status_code == 429


def test_an_error_on_the_short_way_leaves_the_answer_to_the_long_one(
    lane: Lane, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("controller.web.express.one", broken)
    assert lane.short(ONE) is None
    assert "an evaluation failed" in caplog.text
