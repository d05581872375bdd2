"""Traces of ingest, tick and publish, where they are asked for."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from controller import tracing
from controller.settings import child_environment
from controller.telemetry import Metrics
from controller.tracing import TracingNotInstalled, exemplar, span, start_tracing, stop_tracing
from tests.builders import a_live_rollout
from tests.flow.site import ADMIN, Site, free_port, until
from tests.scheduler.test_scheduler import Site as Scheduled

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def traced() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    """Spans are kept in memory."""
    exporter = InMemorySpanExporter()
    provider = start_tracing("tests", "0", exporter)
    yield provider, exporter
    stop_tracing(provider)


def names(traced: tuple[TracerProvider, InMemorySpanExporter]) -> list[str]:
    traced[0].force_flush()
    return [one.name for one in traced[1].get_finished_spans()]


def test_without_being_asked_for_there_are_no_spans_and_no_exemplars() -> None:
    with span("tick", rollouts=3):
        assert exemplar() is None


def test_a_span_belongs_to_the_trace_of_its_caller_and_notes_its_error(traced) -> None:
    with pytest.raises(ZeroDivisionError), span("ingest", PARENT, rows=3):
        raise ZeroDivisionError
    traced[0].force_flush()
    (found,) = traced[1].get_finished_spans()
    assert f"{found.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert found.attributes == {"canary.rows": 3}
    assert not found.status.is_ok
    assert found.resource.attributes["deployment.environment.name"] == "tests"


@pytest.mark.parametrize("parent", ["nonsense", "", "00-0-0-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_parent_that_is_none_begins_a_trace_of_its_own(traced, parent: str) -> None:
    with span("ingest", parent):
        pass
    assert names(traced) == ["ingest"]


@pytest.mark.usefixtures("traced")
def test_a_figure_carries_the_trace_that_it_was_counted_in() -> None:
    registry = CollectorRegistry()
    with span("ingest", PARENT):
        Metrics(registry).count_outcomes("f", "v", "e", {"delivered": 1, "failed": 0})
    assert '# {trace_id="0af7651916cd43dd8448eb211c80319c"}' in generate_latest(registry).decode()


def test_a_tick_and_its_evaluation_are_one_trace(traced, sqlite_database, clock) -> None:
    a_live_rollout(sqlite_database)
    scheduled = Scheduled(sqlite_database, clock)
    scheduled.leadership.renew()
    scheduled.evaluator.evaluate_all()
    assert names(traced) == ["evaluate", "tick"]
    evaluated, tick = traced[1].get_finished_spans()
    assert evaluated.parent.span_id == tick.context.span_id


def test_where_it_is_not_installed_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(TracingNotInstalled, match=r"canary-controller\[server,otel\]"):
        start_tracing("tests", "0")
    assert tracing._tracers == []


def test_opentelemetry_is_not_loaded_unless_it_is_asked_for() -> None:
    code = "import sys, controller.bootstrap; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], env=child_environment(), check=False, timeout=60)
    assert done.returncode == 0
    assert importlib.util.find_spec("opentelemetry") is not None


class Collected:
    """What an OTLP collector on a real socket was sent."""

    def __init__(self) -> None:
        self.port = free_port()
        self.names: list[str] = []
        collected = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                found = ExportTraceServiceRequest.FromString(body)
                for resource in found.resource_spans:
                    collected.names += [one.name for scope in resource.scope_spans for one in scope.spans]
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@pytest.fixture
def collected() -> Iterator[Collected]:
    """A collector."""
    found = Collected()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_a_controller_sends_its_traces_to_the_collector(
    sqlite_url: str, tmp_path: Path, collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("CANARY_TRACES", "otlp"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collected.port}"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ):
        monkeypatch.setenv(name, value)
    site = Site(sqlite_url, tmp_path)
    try:
        site.start()
        site.begin()
        body = {"batch": "batch-0001", "instance": "app", "seq": 1}
        assert site.http.post("/sdk/v1/reports", json=body, headers={"Authorization": f"Bearer {ADMIN}"}).is_success
        until(lambda: {"ingest", "publish"} <= set(collected.names), "the spans arrived")
        assert site.stop() == 0
    finally:
        site.close()
