"""Bodies, errors, request ids and headers, whatever the route."""

import gzip
import logging

import pytest
from flask import Flask

from controller.storage.database import Database
from controller.web.access import open_to_all
from controller.web.http import MOST_BYTES
from tests.web.callers import FLAG, Caller, packed

GZIP = {"Content-Encoding": "gzip"}


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """One kind will do here: nothing of this depends on it."""
    return sqlite_database


def test_every_answer_carries_the_headers_that_keep_browsers_safe(viewer: Caller, nobody: Caller) -> None:
    for answer in (viewer.get("/"), viewer.get("/api/v1/flags"), nobody.get("/healthz"), nobody.get("/nothing")):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] in {"no-store", "no-cache"}
        assert answer.headers["X-Request-Id"]


def test_a_request_id_is_kept_in_the_answer_the_problem_and_the_audit(operator: Caller) -> None:
    named = {"X-Request-Id": "deploy-42"}
    operator.post("/api/v1/flags", FLAG)
    manifest = {"rollout": "r", "flag": "emitter", "control": "legacy", "canary": "unified"}
    stages = [{"share": "100%", "bake": "1m"}]
    assert (
        operator.post("/api/v1/rollouts", {**manifest, "stages": stages}, named).headers["X-Request-Id"] == "deploy-42"
    )
    assert operator.get("/api/v1/audit").json["items"][0]["request_id"] == "deploy-42"
    assert operator.get("/api/v1/flags/nothing", named).json["request_id"] == "deploy-42"


@pytest.mark.parametrize("given", ["x" * 65, "a b", "<b>", "ä"])
def test_an_odd_request_id_is_replaced(nobody: Caller, given: str) -> None:
    answered = nobody.get("/healthz", {"X-Request-Id": given}).headers["X-Request-Id"]
    assert answered != given
    assert answered.isalnum()


def test_an_unknown_path_is_a_problem(viewer: Caller) -> None:
    answer = viewer.get("/api/v2/flags")
    assert (answer.status_code, answer.json["code"], answer.json["status"]) == (404, "no_such_path", 404)
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_method_that_is_not_answered_says_which_ones_are(viewer: Caller, method: str) -> None:
    answer = viewer.call(method, "/api/v1/flags")
    assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
    assert "GET" in answer.headers["Allow"]


def test_a_verb_is_never_a_get(viewer: Caller) -> None:
    assert viewer.get("/api/v1/rollouts/r/start").status_code == 405


def test_a_crash_shows_no_trace_and_leaves_one_in_the_log(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    @open_to_all
    def crash() -> str:
        raise RuntimeError("the secret of the house")

    app.add_url_rule("/crash", view_func=crash)
    with caplog.at_level(logging.ERROR):
        answer = Caller(app, None).get("/crash")
    assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert "the secret of the house" in caplog.text
    assert answer.headers["X-Request-Id"] in caplog.text


def test_a_packed_body_is_unpacked(operator: Caller) -> None:
    assert operator.post("/api/v1/flags", packed(FLAG), GZIP).status_code == 201


def test_a_body_that_is_too_large_is_refused(operator: Caller) -> None:
    answer = operator.post("/api/v1/flags", b" " * (MOST_BYTES + 1))
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")


def test_a_body_that_grows_too_large_when_unpacked_is_refused(operator: Caller) -> None:
    answer = operator.post("/api/v1/flags", gzip.compress(b" " * (MOST_BYTES + 1)), GZIP)
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    "body",
    [b"no gzip", packed(FLAG)[:-5], packed(FLAG) + b"more", packed(FLAG) + packed(FLAG)],
    ids=["no gzip", "cut off", "more behind it", "two in one"],
)
def test_damaged_gzip_is_malformed(operator: Caller, body: bytes) -> None:
    answer = operator.post("/api/v1/flags", body, GZIP)
    assert (answer.status_code, answer.json["code"]) == (422, "malformed")


def test_an_encoding_that_is_not_read_here_is_refused(operator: Caller) -> None:
    answer = operator.post("/api/v1/flags", FLAG, {"Content-Encoding": "br"})
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_encoding")
