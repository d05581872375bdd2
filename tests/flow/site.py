"""A controller as a process of its own, to be killed, frozen and started again."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from controller.settings import child_environment
from controller.storage import schema
from controller.storage.database import Database
from tests.builders import FLAG, ROLLOUT, manifest_document
from tests.postgres import PostgresServer

T = TypeVar("T")

ADMIN = "admin-for-these-tests-alone-0123456789abcdef"
PATIENCE_S = 40.0


def until(condition: Callable[[], T], what: str, patience_s: float = PATIENCE_S) -> T:
    """Wait for a condition; its value, or a failure that says what never came."""
    deadline, pause = time.monotonic() + patience_s, threading.Event()
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        pause.wait(0.02)
    raise AssertionError(f"waited {patience_s:g} s in vain: {what}")


def migrated(server: PostgresServer) -> str:
    """The URL of a new database on a server, ready for a controller."""
    server.execute("CREATE DATABASE canary")
    database = Database(server.url("canary"))
    schema.upgrade(database)
    database.close()
    return server.url("canary")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Site:
    """`canary serve` on a database and a port of its own.

    Attributes:
        tree: the folder of the release that `start` runs; None is this one.
    """

    def __init__(self, database_url: str, folder: Path, name: str = "controller", **settings: str) -> None:
        self._settings = {"CANARY_ADMIN_TOKEN": ADMIN, **settings}
        self.database_url = database_url
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {ADMIN}"}, timeout=10)
        self._log = (folder / f"{name}.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None
        self.tree: Path | None = None

    def start(self) -> None:
        """Start it and wait until it is ready."""
        where = ["--port", str(self.port), "--database-url", self.database_url]
        command = [sys.executable, "-m", "controller", "serve", *where]
        self._process = subprocess.Popen(
            command, env=child_environment(**self._settings), stdout=self._log, stderr=self._log, cwd=self.tree
        )
        until(self._ready, "the controller was not ready")

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it stands still and does not know."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on as if nothing had happened."""
        self._signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self._signal(signal.SIGTERM)
        return self._process.wait(PATIENCE_S) if self._process is not None else 0

    def close(self) -> None:
        """End it whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self._process.kill()
            self._process.wait()
        self.http.close()
        self._log.close()

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A command that must succeed."""
        answer = self.http.post(path, json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def rollout(self, key: str = ROLLOUT) -> dict[str, Any]:
        """The rollout as the API shows it."""
        return dict(self.http.get(f"/api/v1/rollouts/{key}").raise_for_status().json())

    def sdk_token(self) -> str:
        """A new token for clients."""
        return str(self.post("/api/v1/tokens", {"role": "sdk", "name": "test"})["token"])

    def begin(self, **changes: Any) -> None:
        """A flag and a live rollout of it."""
        variants = {"legacy": False, "unified": True}
        self.post("/api/v1/flags", {"key": FLAG, "variants": variants, "control": "legacy"})
        self.post("/api/v1/rollouts", manifest_document(**changes))
        self.post(f"/api/v1/rollouts/{ROLLOUT}/start", {"reason": "test"})

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the controller ended at once"
        try:
            return self.http.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
