"""Pages of other origins: what their browsers are told about OFREP."""

from __future__ import annotations

import pytest
from flask import Flask

from controller.domain.principals import Role
from controller.web.app import create_app
from tests.web.callers import FLAG, Caller, Door

ONE, ALL = "/ofrep/v1/evaluate/flags/emitter", "/ofrep/v1/evaluate/flags"
ANNA = {"context": {"targetingKey": "anna"}}
ORIGIN = {"Origin": "https://app.example.com"}


@pytest.fixture
def page(app: Flask, secrets: dict[Role, str]) -> Caller:
    """Somebody who may ask for answers and nothing else."""
    return Caller(app, secrets[Role.EVALUATOR])


@pytest.mark.parametrize("path", [ONE, ALL])
def test_a_page_may_send_what_its_client_needs_to(nobody: Caller, path: str) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,if-none-match"}
    answer = nobody.call("OPTIONS", path, headers={**ORIGIN, **asked})
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    allowed = set(answer.headers["Access-Control-Allow-Headers"].split(", "))
    assert {"authorization", "content-type", "if-none-match", "x-api-key"} <= allowed
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_page_reads_answers_refusals_and_their_headers(operator: Caller, page: Caller, nobody: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    etag = page.post(ALL, ANNA).headers["ETag"]
    for answer in (
        page.post(ONE, ANNA, ORIGIN),
        page.post(ALL, ANNA, {**ORIGIN, "If-None-Match": etag}),
        page.post(ONE + "x", ANNA, ORIGIN),
        page.call("POST", ALL, b"{", ORIGIN),
        nobody.post(ALL, ANNA, ORIGIN),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Expose-Headers"] == "ETag, Retry-After"


def test_other_routes_are_for_no_page(viewer: Caller) -> None:
    assert "Access-Control-Allow-Origin" not in viewer.get("/api/v1/flags", ORIGIN).headers


def test_origins_can_be_named(door: Door, secrets: dict[Role, str]) -> None:
    app = create_app(door.services(origins=frozenset({"https://app.example.com"})))
    page = Caller(app, secrets[Role.EVALUATOR])
    named = page.post(ALL, ANNA, ORIGIN)
    assert named.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert named.headers["Vary"] == "Origin"
    other = page.post(ALL, ANNA, {"Origin": "https://evil.example.com"})
    assert (other.status_code, "Access-Control-Allow-Origin" in other.headers) == (200, False)
