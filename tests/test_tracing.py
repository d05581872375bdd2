"""Traces of ingest, tick and publish, where they are asked for."""

from __future__ import annotations

import importlib.util
import json
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
from controller.tracing import TracingNotInstalled, add_trace, exemplar, span, start_tracing, stop_tracing, traceparent
from controller.web.headcount import Headcount
from controller.web.publisher import Publisher
from controller.web.state import FlagState
from controller.web.stream import StreamHub
from tests.builders import FLAG, a_live_rollout, a_second_rollout, read, report
from tests.dashboards.prometheus import Prometheus
from tests.flow.site import ADMIN, Site, free_port, until
from tests.scheduler.test_scheduler import Site as Scheduled

CALLER = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{CALLER}-b7ad6b7169203331-01"


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


def test_a_publication_belongs_to_the_trace_of_what_caused_it_and_to_no_other(traced, sqlite_database, clock) -> None:
    publisher = Publisher(
        FlagState(sqlite_database),
        StreamHub(),
        clock,
        Headcount(sqlite_database, clock),
    )
    a_live_rollout(sqlite_database)
    publisher._look()
    a_second_rollout(sqlite_database, "second")
    with span("evaluate"):
        publisher.changed()
    publisher.changed()  # somebody else's, without a trace
    publisher._look()
    publisher._look()
    a_second_rollout(sqlite_database, "third")
    publisher.changed()
    publisher._look()
    traced[0].force_flush()
    first, evaluated, caused, alone = traced[1].get_finished_spans()
    assert {first.name, caused.name, alone.name} == {"publish"}
    assert caused.parent.span_id == evaluated.context.span_id
    assert (first.parent, alone.parent) == (None, None)


@pytest.mark.usefixtures("traced")
def test_what_is_logged_in_a_span_names_it() -> None:
    assert add_trace(None, "info", {"event": "e"}) == {"event": "e"}
    with span("ingest", PARENT):
        logged = add_trace(None, "info", {"event": "e"})
        assert logged["trace_id"] == CALLER
        assert traceparent() == f"00-{CALLER}-{logged['span_id']}-01"
    assert traceparent() is None


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
    """What an OTLP collector on a real socket was sent: each span's name and trace."""

    def __init__(self) -> None:
        self.port = free_port()
        self.spans: list[tuple[str, str]] = []
        collected = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                found = ExportTraceServiceRequest.FromString(body)
                for resource in found.resource_spans:
                    spans = [one for scope in resource.scope_spans for one in scope.spans]
                    collected.spans += [(one.name, one.trace_id.hex()) for one in spans]
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def traces(self, name: str) -> set[str]:
        """The traces that have a span of this name."""
        return {trace for found, trace in self.spans if found == name}


@pytest.fixture
def collected() -> Iterator[Collected]:
    """A collector."""
    found = Collected()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_traces_reach_the_collector_the_log_and_as_exemplars_prometheus(
    sqlite_url: str, tmp_path: Path, collected: Collected, opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("CANARY_TRACES", "otlp"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collected.port}"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ):
        monkeypatch.setenv(name, value)
    site = Site(sqlite_url, tmp_path, CANARY_LOG_FORMAT="json")
    try:
        site.start()
        site.begin()
        row = {"flag": FLAG, "variant": "unified", "event_type": "agent_started", "attempts": 1, "delivered": 1}
        body = {"batch": "batch-0001", "instance": "app", "seq": 1, "counts": [row]}
        body |= {"counted_by": "client", "revision": 10**6}
        headers = {"Authorization": f"Bearer {ADMIN}", "traceparent": PARENT}
        assert site.http.post("/sdk/v1/reports", json=body, headers=headers).is_success
        database = opened(sqlite_url)
        report(database, read(database), failed=50)
        until(lambda: site.rollout()["phase"] == "rolled_back", "the canary was rolled back")
        until(lambda: {"ingest", "evaluate", "publish"} <= {name for name, _ in collected.spans}, "the spans arrived")
        assert collected.traces("ingest") == {CALLER}
        (decided,) = (line for line in map(json.loads, _lines(tmp_path)) if line["event"] == "decided")
        until(lambda: decided["trace_id"] in collected.traces("evaluate"), "the decision's trace arrived")
        with Prometheus(tmp_path, [site.url.removeprefix("http://")]) as prometheus:
            for figure in ("canary_outcomes_total", "canary_ingest_duration_seconds_bucket"):
                assert until(lambda figure=figure: prometheus.exemplars(figure), "it was scraped") == {CALLER}
            seen = until(lambda: prometheus.exemplars("canary_evaluation_duration_seconds_bucket"), "it was scraped")
            assert seen <= collected.traces("evaluate")
        assert site.stop() == 0
    finally:
        site.close()


def _lines(folder: Path) -> list[str]:
    """What the controller has logged as JSON."""
    text = (folder / "controller.log").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.startswith("{")]
