"""Probes and metrics."""

from collections.abc import Callable

from prometheus_client import Counter

from controller.storage.database import Database
from controller.storage.writer import IngestWriter
from controller.web.app import create_app
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


def test_metrics_are_prometheus_text(viewer: Caller, door: Door) -> None:
    Counter("canary_lunches", "Lunches.", registry=door.registry).inc(3)
    answer = viewer.get("/metrics")
    assert answer.mimetype == "text/plain"
    assert "canary_lunches_total 3.0" in answer.text
