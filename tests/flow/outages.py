"""What can happen to a PostgreSQL server, done to a real one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.flow.site import until
from tests.postgres import PostgresServer

#: Tables, log and room for some minutes of traffic.
_VOLUME = "1g"
_CUT_EVERY_S = 2.0
_FULL_S = 20.0
_MOST_MESSAGES = 400
#: What a supervisor (systemd, Kubernetes, `restart: unless-stopped`) waits before it starts a server again.
_RESTART_S = 1.0


@dataclass(frozen=True)
class Outage:
    """What is done, and a name for it; `strike` returns when it is undone."""

    name: str
    what: str
    strike: Callable[[], None]


def outages(server: PostgresServer, volume: Path | None, *, pause_s: float, cuts: int = 5) -> list[Outage]:
    """All of them in order; those that fill the disk need a `volume` of the server's own."""
    found = [
        Outage("restart", "pg_ctl restart -m immediate", lambda: server.restart(at_once=True)),
        Outage("pause", f"all its processes stopped for {pause_s:g} s", lambda: _pause(server, pause_s)),
        Outage("cut", f"all its sessions ended, {cuts} times", lambda: _cut(server, cuts)),
    ]
    if volume is not None:
        found.append(Outage("disk", f"the disk of its tables full for {_FULL_S:g} s", lambda: _fill(volume)))
        found.append(Outage("log", "the same, until it cannot write its log and ends", lambda: _burst(server, volume)))
    return found


@contextlib.contextmanager
def mounted() -> Iterator[Path]:
    """A small file system of its own, with a log beside tables as most installations have it.

    Raises:
        PermissionError: only root may mount one.
    """
    if os.geteuid() != 0:
        raise PermissionError("a full disk takes root, who may mount a small one; leave disk and log out with --only")
    with tempfile.TemporaryDirectory(prefix="canary-full-", dir="/tmp") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_VOLUME},mode=755", "tmpfs", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def _pause(server: PostgresServer, pause_s: float) -> None:
    server.pause()
    _pass(pause_s)
    server.resume()


def _cut(server: PostgresServer, cuts: int) -> None:
    for _ in range(cuts):
        _pass(_CUT_EVERY_S)
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'canary%'")


def _fill(volume: Path) -> None:
    with _filled(volume):
        _pass(_FULL_S)


def _burst(server: PostgresServer, volume: Path) -> None:
    """Write into the log until there is no room for it; a supervisor tries to start the server until there is."""
    with _filled(volume):
        with contextlib.suppress(psycopg.Error), psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            for _ in range(_MOST_MESSAGES):
                connection.execute("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000))")
            raise AssertionError("the log never filled the disk")
        full_until = time.monotonic() + _FULL_S
        while time.monotonic() < full_until:
            _pass(_RESTART_S)
            _tried(server)
    until(lambda: _tried(server), "the server starts when there is room")


def _tried(server: PostgresServer) -> bool:
    if server.ended:
        with contextlib.suppress(RuntimeError):
            server.restart()
    return _answers(server)


def _answers(server: PostgresServer) -> bool:
    with contextlib.suppress(psycopg.Error):
        server.execute("SELECT 1")
        return True
    return False


@contextlib.contextmanager
def _filled(volume: Path) -> Iterator[None]:
    """Not a byte is left while the block lasts; what others give back meanwhile is taken, too."""
    ballast, done = volume / "ballast", threading.Event()
    with ballast.open("wb", buffering=0) as file:

        def fill() -> None:
            for size in (2**20, 4096):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass

        def go_on() -> None:
            while not done.wait(0.2):
                fill()

        fill()
        filling = threading.Thread(target=go_on)
        filling.start()
        try:
            yield
        finally:
            done.set()
            filling.join()
            ballast.unlink()


def _pass(seconds: float) -> None:
    threading.Event().wait(seconds)
