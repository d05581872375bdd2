"""A real `canary serve` for the benchmarks, in a process of its own, whose CPU and memory are read from the system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from controller.settings import child_environment

ADMIN = "admin-of-the-benchmark-0123456789abcdef0123456789"


class Controller:
    """`canary serve` on a port of its own."""

    def __init__(self, database_url: str) -> None:
        self.port = 18_400 + os.getpid() % 1_000
        self.database_url = database_url
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "controller", "serve", "--port", str(self.port)]
        environment = child_environment(CANARY_ADMIN_TOKEN=ADMIN)
        self.process = subprocess.Popen([*command, "--database-url", self.database_url], env=environment)
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def cpu_s(self) -> float:
        assert self.process is not None
        return cpu_s(self.process.pid)

    def rss_mib(self) -> float:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")
