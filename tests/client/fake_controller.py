"""A small controller on a real socket: it serves snapshots and streams, and takes reports as a test scripts it."""

from __future__ import annotations

import gzip
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from controller.domain.metrics import REPORTING, Metric, UnitKind
from controller.domain.snapshots import PublishedFlag, PublishedRollout, Snapshot
from controller.wire.codec import decode
from controller.wire.reports import Report
from controller.wire.snapshots import to_wire

TOKEN = "secret-token"
EVENTS = ("agent_started", "agent_completed")
WATCHED = (REPORTING, Metric.ABANDONED, Metric.INTERRUPTED)


def rollout(weight: int = 10_000, **but: Any) -> PublishedRollout:
    said = {
        "key": "ramp",
        "control": "legacy",
        "canary": "unified",
        "weight": weight,
        "salt": "salt",
        "epoch": 3,
        "unit": UnitKind.USER_10M,
        "events": EVENTS,
        "lease_ms": 120_000,
    }
    return PublishedRollout(**(said | but))


def flag(key: str = "emitter", live: PublishedRollout | None = None, **but: Any) -> PublishedFlag:
    said = {
        "variants": {"legacy": False, "unified": True},
        "control": "legacy",
        "served": "legacy",
        "enabled": True,
        "version": 7,
        "rollout": live,
    }
    return PublishedFlag(key=key, **(said | but))


def snapshot(revision: int = 1, *flags: PublishedFlag, environment: str = "prod") -> Snapshot:
    return Snapshot(environment, revision, {f.key: f for f in flags or (flag(live=rollout()),)})


def wait_until(what: Callable[[], Any], deadline: float = 10.0) -> Any:
    ends = time.monotonic() + deadline
    while not (found := what()):
        assert time.monotonic() < ends, "waited in vain"
        threading.Event().wait(0.005)
    return found


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Answer:
    """How to answer one report. `commit` says whether it was counted, `drop` whether the connection then breaks."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    commit: bool = True
    drop: bool = False


class FakeController:
    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.committed: dict[str, Report] = {}
        self.reports: list[Report] = []
        self.answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self.always: Answer | None = None
        self.refuses: Callable[[Report], Answer | None] = lambda _: None
        self.document: bytes | None = None
        self.revision = ""
        self.deny = 0
        self.stream_status = 200
        self.stream_headers: dict[str, str] = {}
        self.headers: dict[str, str] = {}
        self.trickle = False
        self.hang = threading.Event()
        self.hang.set()
        self._streams: list[queue.SimpleQueue[bytes | None]] = []
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    def start(self) -> FakeController:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                outer.get(self)

            def do_POST(self) -> None:
                outer.post(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 64

            def handle_error(self, *_: Any) -> None: ...

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        self.hang.set()
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        self.drop_streams()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # --- what a test does ---

    def publish(self, new: Snapshot, *, quietly: bool = False) -> None:
        self.serve(to_wire(new), str(new.revision), quietly=quietly)

    def serve(self, document: bytes, revision: str, *, quietly: bool = False) -> None:
        self.document, self.revision = document, revision
        if not quietly:
            self.say(_event("snapshot", document, revision))

    def heartbeat(self, revision: str | None = None) -> None:
        data = json.dumps({"revision": revision if revision is not None else self.revision or None})
        self.say(_event("heartbeat", data.encode()))

    def say(self, frame: bytes) -> None:
        with self._lock:
            for stream in self._streams:
                stream.put(frame)

    def drop_streams(self) -> None:
        with self._lock:
            for stream in self._streams:
                stream.put(None)

    @property
    def streams(self) -> int:
        with self._lock:
            return len(self._streams)

    def asked(self, path: str) -> list[Request]:
        return [request for request in list(self.requests) if request.path == path]

    def total(self, name: str, **of: str) -> int:
        """A count over all committed batches."""
        rows = [row for report in list(self.committed.values()) for row in report.counts]
        return sum(getattr(row, name) for row in rows if all(getattr(row, k) == v for k, v in of.items()))

    def evidence(self) -> dict[tuple[str, int, str, str], tuple[int, int]]:
        """What was delivered and what was not, as evidence."""
        return {key: tally for key, tally in self.all_evidence().items() if key[3] not in WATCHED}

    def watched(self, stream: str, arm: str = "canary") -> tuple[int, int]:
        """What is counted of every rollout besides: who has spoken, who was abandoned and who was interrupted."""
        found = [tally for key, tally in self.all_evidence().items() if key[2:] == (arm, stream)]
        return sum(failed for failed, _ in found), sum(total for _, total in found)

    def all_evidence(self) -> dict[tuple[str, int, str, str], tuple[int, int]]:
        sums: dict[tuple[str, int, str, str], tuple[int, int]] = {}
        for row in (row for report in list(self.committed.values()) for row in report.evidence):
            key = (row.rollout, row.epoch, row.arm, row.stream)
            failed, total = sums.get(key, (0, 0))
            sums[key] = (failed + row.failed, total + row.total)
        return sums

    def outcomes(self) -> list[Any]:
        return [row for report in list(self.committed.values()) for row in report.outcomes]

    # --- what the server does ---

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(Request(handler.path, dict(handler.headers)))
        self.hang.wait(30)
        if self.trickle:
            self._trickle(handler)
            return
        denied = self.deny or (401 if handler.headers["Authorization"] != f"Bearer {TOKEN}" else 0)
        if denied:
            _reply(handler, denied)
        elif handler.path == "/sdk/v1/stream":
            self._stream(handler)
        elif self.document is None:
            _reply(handler, 503)
        elif handler.headers["If-None-Match"] == f'"{self.revision}"':
            _reply(handler, 304)
        else:
            _reply(handler, 200, self.document, {"ETag": f'"{self.revision}"', **self.headers})

    def _trickle(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream" if "stream" in handler.path else "application/json")
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while self.trickle:
            handler.wfile.write(b" ")
            threading.Event().wait(0.02)
        handler.close_connection = True

    def _stream(self, handler: BaseHTTPRequestHandler) -> None:
        if self.stream_status != 200:
            _reply(handler, self.stream_status, b"", self.stream_headers)
            return
        frames: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        with self._lock:
            if self.document is not None and handler.headers["Last-Event-ID"] != self.revision:
                frames.put(_event("snapshot", self.document, self.revision))
            self._streams.append(frames)
        try:
            while (frame := frames.get()) is not None:
                handler.wfile.write(frame)
        finally:
            with self._lock:
                self._streams.remove(frames)

    def post(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.requests.append(Request(handler.path, dict(handler.headers), body))
        if handler.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        self.hang.wait(30)
        report = decode(body, Report)
        self.reports.append(report)
        answer = self._answer(report)
        if answer.status == 200 and answer.commit:
            self.committed.setdefault(report.batch, report)
        if answer.drop:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        receipt = json.dumps({"batch": report.batch, "duplicate": False, "revision": 0}).encode()
        _reply(handler, answer.status, answer.body or receipt, answer.headers)

    def _answer(self, report: Report) -> Answer:
        refused = self.refuses(report)
        if refused is not None:
            return refused
        try:
            return self.answers.get_nowait()
        except queue.Empty:
            return self.always or Answer()


def problem(status: int, code: str, detail: str = "") -> Answer:
    body = json.dumps({"title": "t", "status": status, "code": code, "detail": detail}).encode()
    return Answer(status, body, {"Content-Type": "application/problem+json"}, commit=False)


def _event(name: str, data: bytes, event_id: str | None = None) -> bytes:
    head = f"id: {event_id}\n" if event_id is not None else ""
    return f"{head}event: {name}\ndata: ".encode() + data + b"\n\n"


def _reply(
    handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", headers: dict[str, str] | None = None
) -> None:
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    if status != 304:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if status != 304:
        handler.wfile.write(body)


def flags_of(reports: Iterable[Report]) -> set[str]:
    return {row.flag for report in reports for row in report.counts}
