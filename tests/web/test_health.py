"""Probes and metrics."""

from collections.abc import Callable

import pytest
from prometheus_client import Counter

from controller.domain.principals import Need
from controller.storage.database import Database
from controller.storage.writer import IngestWriter
from controller.web.access import Gate
from controller.web.app import create_app
from controller.web.server import StreamRequest
from tests.clocks import FakeClock
from tests.web.callers import Caller, Door

UNREACHABLE = "postgresql://nobody@127.0.0.1:9/nowhere"


def caller_of(database: Database, clock: FakeClock) -> Caller:
    return Caller(create_app(Door(database, clock, IngestWriter(database, clock)).services()), None)


def test_a_running_controller_is_healthy_and_ready(nobody: Caller) -> None:
    assert nobody.get("/healthz").json == {"status": "ok"}
    assert nobody.get("/readyz").json == {"ready": True, "missing": []}


def test_without_its_writer_it_is_alive_and_not_ready(nobody: Caller, writer: IngestWriter) -> None:
    writer.stop()
    answer = nobody.get("/readyz")
    assert (answer.status_code, answer.json["missing"]) == (503, ["the ingest writer does not run"])
    assert nobody.get("/healthz").status_code == 200


def test_an_empty_database_is_not_ready_and_says_what_to_do(
    empty_url: str, opened: Callable[[str], Database], clock: FakeClock
) -> None:
    answer = caller_of(opened(empty_url), clock).get("/readyz")
    assert answer.status_code == 503
    assert answer.json["missing"] == ["the database has no schema: run `canary db upgrade`"]


def test_before_the_first_snapshot_it_is_not_ready(database: Database, clock: FakeClock) -> None:
    answer = caller_of(database, clock).get("/readyz")
    assert "no snapshot has been published yet" in answer.json["missing"]


def test_without_its_database_it_is_neither(opened: Callable[[str], Database], clock: FakeClock) -> None:
    caller = caller_of(opened(UNREACHABLE), clock)
    alive, ready = caller.get("/healthz"), caller.get("/readyz")
    assert (alive.status_code, alive.json["code"], ready.status_code) == (503, "unavailable", 503)
    assert "Retry-After" in alive.headers


@pytest.mark.parametrize("path", ["/api/v1/flags", "/sdk/v1/snapshot", "/flagd/flags.json", "/ofrep/v1/evaluate/flags"])
def test_without_its_database_it_says_when_to_come_back(
    opened: Callable[[str], Database], clock: FakeClock, path: str
) -> None:
    door = Door(opened(UNREACHABLE), clock, IngestWriter(opened(UNREACHABLE), clock))
    caller = Caller(create_app(door.services()), "a token that nobody can look up now")
    answer = caller.post(path, {}) if path.startswith("/ofrep") else caller.get(path)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1


def test_without_its_database_streams_are_told_when_to_come_back(
    opened: Callable[[str], Database], clock: FakeClock
) -> None:
    door = Door(opened(UNREACHABLE), clock, IngestWriter(opened(UNREACHABLE), clock))
    request = StreamRequest("/sdk/v1/stream", {"authorization": "Bearer unknown"}, {}, "127.0.0.1")
    problem = Gate(door.services()).check_stream(request, Need.REPORT)
    assert problem is not None
    assert (problem.status, dict(problem.headers)) == (503, {"Retry-After": "1"})


def test_metrics_are_prometheus_text(viewer: Caller, door: Door) -> None:
    Counter("canary_lunches", "Lunches.", registry=door.registry).inc(3)
    answer = viewer.get("/metrics")
    assert answer.mimetype == "text/plain"
    assert "canary_lunches_total 3.0" in answer.text
