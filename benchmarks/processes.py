"""Processes under test: CPU and memory by /proc, and a controller on a port of its own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from controller.settings import child_environment

ADMIN = "admin-of-the-benchmarks-0123456789abcdef"
_TICK = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int, *, ended_children: bool = False) -> float:
    """CPU seconds of a process so far; with those of its children that have ended and been waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = [int(field) for field in fields[11:15]]
    return (sum(ticks) if ended_children else sum(ticks[:2])) / _TICK


def family_cpu_s(pid: int) -> float:
    """CPU seconds of a process and of all its children, the ended ones included: a whole PostgreSQL."""
    total = cpu_s(pid, ended_children=True)
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            total += cpu_s(int(child), ended_children=True)
        except OSError:
            continue  # it has just ended, and is in its parent's sum the next time
    return total


def rss_mb(pid: int) -> float:
    """Resident memory."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served:
    """`canary serve` on a database, until the end of the block."""

    def __init__(self, database_url: str, log: Path, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [
            sys.executable,
            "-m",
            "controller",
            "serve",
            "--port",
            str(self.port),
            "--database-url",
            database_url,
        ]
        environment = child_environment(CANARY_ADMIN_TOKEN=ADMIN, **settings)
        self._log = log.open("ab")
        self.process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)
        self.http = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {ADMIN}"}, timeout=30)

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if self.http.get("/readyz").status_code == httpx.codes.OK:
                    return self
            except httpx.TransportError:
                time.sleep(0.05)
        self.__exit__(None, None, None)
        raise RuntimeError("the controller does not start; its log says why")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.http.close()
        self._log.close()

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid

    def cpu_s(self) -> float:
        """Its CPU seconds so far."""
        return cpu_s(self.pid)

    def begin(self, flag: str, rollout: str, events: tuple[str, ...]) -> int:
        """A flag with a live rollout at 50 %; returns the evidence epoch."""
        variants = {"legacy": False, "unified": True}
        stages = [{"share": "50%", "bake": "1d"}, {"share": "100%", "bake": "1d"}]
        manifest = {"rollout": rollout, "flag": flag, "control": "legacy", "canary": "unified", "stages": stages}
        for path, body in (
            ("/api/v1/flags", {"key": flag, "variants": variants, "control": "legacy"}),
            ("/api/v1/rollouts", {**manifest, "events": list(events), "allow_overlap": True}),
            (f"/api/v1/rollouts/{rollout}/start", {"reason": "benchmark"}),
        ):
            self.http.post(path, json=body).raise_for_status()
        return int(self.http.get(f"/api/v1/rollouts/{rollout}").raise_for_status().json()["epoch"])
