"""A controller's client side in a process of its own: one snapshot, its stream with heartbeats, and reports taken.

usage: snapshot_server.py N_FLAGS; prints the port, and ends when its standard input is closed.
"""

from __future__ import annotations

import sys
import threading
import time
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from controller.domain.snapshots import PublishedFlag, PublishedRollout, Snapshot
from controller.domain.units import UnitKind
from controller.wire.snapshots import to_wire

TOKEN = "benchmark"


def snapshot(keys: list[str], weight: int = 5_000) -> bytes:
    """So many flags with a live rollout each, half of the users on the canary."""
    flags = {}
    for key in keys:
        salt = blake2b(key.encode(), digest_size=8).hexdigest()
        rollout = PublishedRollout(key, "legacy", "unified", weight, salt, 1, UnitKind.USER_10M, ("sent",), 120_000)
        variants = {"legacy": "legacy", "unified": "unified"}
        flags[key] = PublishedFlag(key, variants, "legacy", "legacy", True, 1, rollout)
    return to_wire(Snapshot("benchmark", 1, flags))


def handler(document: bytes) -> type[BaseHTTPRequestHandler]:
    """The three paths that clients use."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            if self.path != "/sdk/v1/stream":
                return self.reply(document)
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            if self.headers["Last-Event-ID"] != "1":
                self.wfile.write(b"id: 1\nevent: snapshot\ndata: " + document + b"\n\n")
            while True:
                self.wfile.write(b'event: heartbeat\ndata: {"revision": "1"}\n\n')
                time.sleep(10)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(b'{"batch":"x","duplicate":false,"revision":1}')

        def reply(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def main(keys: list[str]) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(snapshot(keys)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main([f"canary-{number}" for number in range(int(sys.argv[1]))])
