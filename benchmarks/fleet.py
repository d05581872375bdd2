"""Thousands of clients on one controller: how fast a change reaches all, what it costs, and how they come back.

usage: python -m benchmarks.fleet [--clients 5000] [--database-url URL]

A real `canary serve` in a process of its own; the clients are raw sockets of this process that behave as
`controller.client` does (headers, Last-Event-ID, pauses). Latencies end when a client's bytes have arrived, so they
include this process's own share of two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

import httpx
import uvloop

from benchmarks.serving import ADMIN, Controller, percentile
from controller.client.pace import Pace

PACE = Pace()


class Stream(asyncio.Protocol):
    """One open stream: tells its client of whole frames."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.client.request())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self.buffer += data
        while (end := self.buffer.find(b"\n\n")) >= 0:
            self.client.frame(self.buffer[:end], now)
            self.buffer = self.buffer[end + 2 :]
        if len(self.buffer) > 1_000_000:
            self.buffer = b""

    def connection_lost(self, _error: Exception | None) -> None:
        self.client.lost()


class Client:
    """A process of an application, as far as its stream goes; `fleet` collects what it sees."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        self.fleet = fleet
        self.number = number
        self.revision = ""
        self.retry_s = 0.0
        self.failures = 0
        self.open = False
        self.spoke = False
        self.since = 0.0

    def request(self) -> bytes:
        last = f"Last-Event-ID: {self.revision}\r\n" if self.revision else ""
        return (
            f"GET /sdk/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.fleet.token}\r\n"
            f"Accept: text/event-stream\r\nCanary-Instance: client-{self.number}\r\nCanary-Reports: 0\r\n{last}\r\n"
        ).encode()

    def frame(self, frame: bytes, now: float) -> None:
        if not self.spoke and b"event:" in frame:
            self.spoke = self.open = True
            self.failures = 0
            self.since = now
            self.fleet.opened.append(now)
        for line in frame.split(b"\n"):
            if line.startswith(b"retry: "):
                self.retry_s = int(line[7:]) / 1000
            elif line.startswith(b"id: "):
                self.revision = line[4:].decode()
                self.fleet.received.append((self.revision, now))

    def lost(self) -> None:
        lived, self.open, self.spoke = self.spoke, False, False
        if self.fleet.closing:
            return
        self.failures = 0 if lived else self.failures + 1
        pause = PACE.pause(max(0, self.failures - 1), self.retry_s)
        asyncio.get_running_loop().call_later(pause, self.connect)

    def connect(self) -> None:
        task = asyncio.ensure_future(self._connect())
        self.fleet.tasks.add(task)
        task.add_done_callback(self.fleet.tasks.discard)

    async def _connect(self) -> None:
        self.fleet.tries.append(time.monotonic())
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: Stream(self), "127.0.0.1", self.fleet.port)
        except OSError:
            self.lost()


class Fleet:
    """All clients."""

    def __init__(self, size: int, port: int, token: str) -> None:
        self.port, self.token = port, token
        self.clients = [Client(self, number) for number in range(size)]
        self.received: list[tuple[str, float]] = []
        self.opened: list[float] = []
        self.tries: list[float] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.closing = False

    @property
    def open(self) -> int:
        return sum(client.open for client in self.clients)

    def arrived(self, revision: str) -> int:
        return sum(1 for seen, _ in self.received if seen == revision)

    async def all_open(self) -> None:
        async with asyncio.timeout(120):
            while self.open < len(self.clients):  # noqa: ASYNC110 - looking costs less than five thousand events
                await asyncio.sleep(0.02)


def three(values: list[float]) -> str:
    digits = 0 if max(values) >= 100 else 1
    figures = (percentile(values, 0.5), percentile(values, 0.99), max(values))
    return "p50 {:.{d}f}, p99 {:.{d}f}, last {:.{d}f}".format(*figures, d=digits)


CALLER = """
import sys, time, threading, http.client
port, token, seconds, rate = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
threads, latencies, began = 4, [], time.monotonic() + 0.2
def run(which):
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for number in range(which, int(seconds * rate), threads):
        due = began + number / rate
        time.sleep(max(0.0, due - time.monotonic()))
        line.request("GET", "/api/v1/flags", headers={"Authorization": "Bearer " + token})
        line.getresponse().read()
        latencies.append(1000 * (time.monotonic() - due))
ways = [threading.Thread(target=run, args=(which,)) for which in range(threads)]
[way.start() for way in ways]
[way.join() for way in ways]
print(*latencies)
"""


async def calls(port: int, seconds: float, rate: float = 150.0) -> list[float]:
    """Latencies in ms of reads at a fixed rate, from a process of its own; each is measured from when it was due."""
    arguments = ("-c", CALLER, str(port), ADMIN, str(seconds), str(rate))
    caller = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=subprocess.PIPE)
    out, _ = await caller.communicate()
    return [float(text) for text in out.split()]


async def change(http: httpx.AsyncClient, fleet: Fleet, version: int) -> list[float]:
    """Change a flag; ms from sending the change to its arrival at each client."""
    fleet.received.clear()
    began = time.monotonic()
    answer = await http.patch("/api/v1/flags/f0", json={"version": version, "description": f"change {version}"})
    assert answer.status_code == 200, answer.text
    revision = str((await http.get("/sdk/v1/snapshot")).json()["revision"])
    async with asyncio.timeout(30):
        while fleet.arrived(revision) < len(fleet.clients):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
    return [1000 * (at - began) for seen, at in fleet.received if seen == revision]


async def spread(fleet: Fleet, controller: Controller) -> dict[str, Any]:
    """Restart the controller under all clients; when each is back, in seconds after the streams were cut."""
    fleet.opened.clear()
    fleet.tries.clear()
    cut = time.monotonic()
    await asyncio.to_thread(controller.stop)
    await asyncio.to_thread(controller.start)
    up = time.monotonic() - cut
    await fleet.all_open()
    back = [at - cut for at in fleet.opened]
    curve = [0] * (int(max(back)) + 1)
    for at in back:
        curve[int(at)] += 1
    tries = [0] * (int(max(at - cut for at in fleet.tries)) + 1)
    for at in fleet.tries:
        tries[int(at - cut)] += 1
    return {"up_s": up, "back": back, "curve": curve, "tries": tries}


async def measure(options: argparse.Namespace, controller: Controller) -> None:
    headers = {"Authorization": f"Bearer {ADMIN}"}
    limits = httpx.Limits(max_connections=40)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{controller.port}", headers=headers, timeout=30, limits=limits
    ) as http:
        token = (await http.post("/api/v1/tokens", json={"role": "sdk"})).json()["token"]
        for number in range(20):
            body = {"key": f"f{number}", "variants": {"legacy": False, "unified": True}, "control": "legacy"}
            await http.post("/api/v1/flags", json=body)
        await calls(controller.port, 2)
        alone = await calls(controller.port, 10)
        fleet = Fleet(options.clients, controller.port, token)
        before, began = controller.rss_mib(), time.monotonic()
        for client in fleet.clients:
            client.connect()
            if client.number % 100 == 99:
                await asyncio.sleep(0.01)
        await fleet.all_open()
        print(f"| open streams | {fleet.open} in {time.monotonic() - began:.1f} s |")
        print(f"| memory per stream | {1024 * (controller.rss_mib() - before) / options.clients:.0f} KiB |")
        await asyncio.sleep(5)
        cpu, since = controller.cpu_s(), time.monotonic()
        await asyncio.sleep(options.idle)
        print(
            f"| idle CPU, heartbeats included | {100 * (controller.cpu_s() - cpu) / (time.monotonic() - since):.2f} % |"
        )
        idle = await calls(controller.port, 10)
        latencies: list[float] = []
        cpu = controller.cpu_s()

        async def changes() -> None:
            for version in range(1, options.changes + 1):
                latencies.extend(await change(http, fleet, version))
                await asyncio.sleep(1.0)

        busy, _ = await asyncio.gather(calls(controller.port, options.changes * 1.2), changes())
        cpu = controller.cpu_s() - cpu
        print(f"| a change at all clients | {three(latencies)} ms |")
        print(f"| CPU per change | {1000 * cpu / options.changes:.0f} ms |")
        for name, found in (("without streams", alone), ("streams idle", idle), ("while changes go out", busy)):
            print(f"| API p50 / p99, {name} | {percentile(found, 0.5):.1f} / {percentile(found, 0.99):.1f} ms |")
        found = await spread(fleet, controller)
        print(f"| the controller was away | {found['up_s']:.1f} s |")
        print(f"| back after a restart | {three(found['back'])} s |")
        print(f"| back in second 0, 1, 2, ... | {' '.join(map(str, found['curve']))} |")
        print(f"| attempts in second 0, 1, 2, ... | {' '.join(map(str, found['tries']))} |")
        fleet.closing = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=5_000)
    parser.add_argument("--changes", type=int, default=15)
    parser.add_argument("--idle", type=float, default=30.0)
    parser.add_argument("--database-url", default="")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, options.clients + 1_000)), hard))
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        controller = Controller(options.database_url or f"sqlite:///{folder}/canary.db")
        controller.start()
        try:
            print("| | |\n|---|---|")
            uvloop.run(measure(options, controller))
        finally:
            controller.stop()


if __name__ == "__main__":
    main()
