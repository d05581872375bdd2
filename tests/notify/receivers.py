"""Where notices arrive: a web server and a mail server of the tests' own, on real sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


@dataclass
class Arrived:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON."""
        return msgspec.json.decode(self.body, type=dict[str, Any])


@dataclass
class Receiver:
    """Answers with what a test tells it, by a function of the number of the request, counted from 1."""

    port: int = 0
    arrived: list[Arrived] = field(default_factory=list)
    answer: Callable[[int], tuple[int, dict[str, str], bytes]] = lambda _: (204, {}, b"")
    release: threading.Event = field(default_factory=threading.Event)
    hangs: bool = False

    @property
    def url(self) -> str:
        """Its address, with a secret in its path as many services have it."""
        return f"http://127.0.0.1:{self.port}/hooks/T0SECRETPATH"

    def ids(self) -> list[str]:
        """The idempotency keys in order of arrival."""
        return [one.headers["webhook-id"] for one in self.arrived]

    def types(self) -> list[str]:
        """The kinds in order of arrival."""
        return [one.document["type"] for one in self.arrived]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a port of its own."""
    receiver, guard = Receiver(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with guard:
                receiver.arrived.append(Arrived(self.path, headers, body))
                number = len(receiver.arrived)
            if receiver.hangs:
                receiver.release.wait(60)
            status, extra, said = receiver.answer(number)
            self.send_response(status)
            for name, value in {**extra, "Content-Length": str(len(said))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A sender that breaks off is part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
