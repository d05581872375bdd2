"""A small controller on a real socket: it answers canned forms and keeps what it was asked."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from controller.wire.problems import Problem

Answer = Any


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class StubController:
    """Answers by (method, path): a document, a Problem, raw bytes, or a function of the request that gives one.

    A list of answers is given one by one; its last stays.
    """

    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Set the answers of a route."""
        self.answers[method, path] = list(answers)

    def bodies(self, method: str) -> list[Any]:
        """The bodies of all requests with a method."""
        return [asked.body for asked in self.asked if asked.method == method]

    def answer(self, asked: Asked) -> tuple[int, str, bytes]:
        """Status, content type and body for a request."""
        self.asked.append(asked)
        queue = self.answers.get((asked.method, asked.path))
        if queue is None:
            problem = Problem("There is no such thing", 404, "not_found", f"nothing at {asked.path}")
            return 404, "application/problem+json", msgspec.json.encode(problem)
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if callable(answer):
            answer = answer(asked)
        if isinstance(answer, Problem):
            return answer.status, "application/problem+json", msgspec.json.encode(answer)
        if isinstance(answer, bytes):
            return 200, "text/html", answer
        return 200, "application/json", msgspec.json.encode(answer)


def handler_of(stub: StubController) -> type[BaseHTTPRequestHandler]:
    """The HTTP side of a stub."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = msgspec.json.decode(raw) if raw else None
            asked = Asked(self.command, parts.path, query, dict(self.headers.items()), body)
            status, kind, data = stub.answer(asked)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names that the standard library asks for

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
            """Stay quiet."""

    return Handler


def serving(stub: StubController) -> Callable[[], None]:
    """Start it on a free port of the loopback; call what is returned to stop it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(stub))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}"

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)

    return stop
