"""From total failure to the last client on its control: the whole line, at 500 events a second and a thousand clients.

usage: python -m benchmarks.total_failure [--clients 1000] [--reporting 40] [--events 500] [--share 50] [--rounds 5]

A real `canary serve` (SQLite). The events are those of real `controller.client.CanaryClient`s in host processes, each
with its own stream, reporter, breaker and name. A thousand of these in Python would measure two cores' worth of
threads, so the other clients are streams alone that behave as theirs (benchmarks.fleet). Users' events succeed for a
while; then every event of the canary fails. A round ends when the last client has got the rollback; failed events are
counted until the decision and until that end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from statistics import median
from typing import Any, TextIO

import httpx
import uvloop

from benchmarks.fleet import Fleet
from benchmarks.serving import ADMIN, Controller, percentile
from controller.client import CanaryClient
from controller.client.canary import ClientObserver
from controller.clock import system_clock

FLAG = "total-failure"
_USERS = 20_000
_HEALTHY_S = 8.0


# --- a host process ---------------------------------------------------------------------------------------------------


class Switched(ClientObserver):
    """When a client first learned of a change after the failure began; wall-clock seconds."""

    def __init__(self) -> None:
        self.at: float | None = None

    def changed(self, _revision: int, flags: list[str]) -> None:
        if FLAG in flags:
            self.at = system_clock() / 1000


class Host:
    """Some of the clients, and their share of the events."""

    def __init__(self, url: str, token: str, count: int, number: int, per_second: float) -> None:
        self.switched = [Switched() for _ in range(count)]
        self.clients = [
            CanaryClient(url, token, instance=f"app-{number}-{index}", observer=seen)
            for index, seen in enumerate(self.switched)
        ]
        self.gap = 1 / per_second
        self.broken = threading.Event()
        self.ending = threading.Event()
        self.failed: list[float] = []
        self.traffic = threading.Thread(target=self._run)

    def start(self) -> None:
        for client in self.clients:
            client.start(timeout=60)
        self.traffic.start()

    def _run(self) -> None:
        due = time.monotonic()
        while not self.ending.is_set():
            self._event(random.choice(self.clients), f"user-{random.randrange(_USERS)}")
            due += self.gap
            time.sleep(max(0.0, due - time.monotonic()))

    def _event(self, client: CanaryClient, user: str) -> None:
        said = client.details(FLAG, user, default=False)
        assert client.reporter is not None
        attempt = client.reporter.attempt(
            flag=FLAG,
            variant=said.variant or "legacy",
            event_type="agent_started",
            user_id=user,
            rollout=said.rollout,
            epoch=said.epoch,
        )
        if said.value and self.broken.is_set():
            self.failed.append(system_clock() / 1000)
            attempt.failed("broken")
        else:
            attempt.delivered(1.0)

    def obey(self, order: str) -> dict[str, Any]:
        """One line of the parent; the answer."""
        if order == "break":
            for seen in self.switched:
                seen.at = None
            self.failed.clear()
            self.broken.set()
        elif order == "mend":
            self.broken.clear()
        elif order == "end":
            self.ending.set()
            self.traffic.join()
        return {"failed": self.failed, "switched": [seen.at for seen in self.switched]}


def host(url: str, token: str, count: int, number: int, per_second: float) -> None:
    """Run in a process of its own: orders come as lines, answers go as lines."""
    made = Host(url, token, count, number, per_second)
    made.start()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(made.obey(line.strip())), flush=True)
    made.ending.set()


# --- the parent -------------------------------------------------------------------------------------------------------


class Remote:
    """A host process as the parent sees it."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "benchmarks.total_failure", "host", *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, order: str) -> None:
        _write(self.process.stdin, order)

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found


def _write(pipe: TextIO | None, order: str) -> None:
    assert pipe is not None
    pipe.write(order + "\n")
    pipe.flush()


def asked(hosts: Sequence[Remote], order: str) -> list[dict[str, Any]]:
    for one in hosts:
        one.say(order)
    return [one.answer() for one in hosts]


def begin(http: httpx.Client, name: str, share: int) -> None:
    """A rollout of its own for each round."""
    stages = [{"share": f"{share}%", "bake": "1h"}, {"share": "100%", "bake": "1h"}]
    document = {"rollout": name, "flag": FLAG, "control": "legacy", "canary": "unified", "stages": stages}
    http.post("/api/v1/rollouts", json=document).raise_for_status()
    http.post(f"/api/v1/rollouts/{name}/start", json={"reason": "benchmark"}).raise_for_status()


def decided(http: httpx.Client, name: str) -> float:
    """Wall-clock seconds of the rollback's decision."""
    items = http.get(f"/api/v1/rollouts/{name}/decisions").raise_for_status().json()["items"]
    return float(min(one["at_ms"] for one in items if one["to_phase"] == "rolling_back")) / 1000


class Streams:
    """Clients that only follow, on an event loop of their own."""

    def __init__(self, count: int, port: int, token: str) -> None:
        self.fleet = Fleet(count, port, token)
        self._ready = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()))
        self._thread.start()
        self._ready.wait()

    async def _run(self) -> None:
        for client in self.fleet.clients:
            client.connect()
            if client.number % 100 == 99:
                await asyncio.sleep(0.01)
        await self.fleet.all_open()
        self._ready.set()
        while not self._ending.is_set():  # noqa: ASYNC110 - another thread ends it
            await asyncio.sleep(0.1)
        self.fleet.closing = True

    def newest(self, since: float) -> list[float]:
        """When each had the newest of the revisions that came after a moment; monotonic seconds."""
        later = [(int(revision), at) for revision, at in self.fleet.received if at >= since]
        last = max((revision for revision, _ in later), default=0)
        return [at for revision, at in later if revision == last]

    def end(self) -> None:
        self._ending.set()
        self._thread.join()


def round_of(http: httpx.Client, hosts: Sequence[Remote], streams: Streams, name: str, share: int) -> list[float]:
    """Seconds to the decision, to 99 % and to the last client; failed events until decision and end; to verified."""
    begin(http, name, share)
    time.sleep(_HEALTHY_S)
    since, mark = system_clock() / 1000, time.monotonic()
    asked(hosts, "break")
    while http.get(f"/api/v1/rollouts/{name}").raise_for_status().json()["phase"] != "rolled_back":
        time.sleep(0.05)
    verified = time.monotonic() - mark
    answers = asked(hosts, "mend")
    real = [at - since for one in answers for at in one["switched"] if at is not None]
    got = [at - mark for at in streams.newest(mark)]
    missing = sum(len(one["switched"]) for one in answers) + len(streams.fleet.clients) - len(real) - len(got)
    assert missing == 0, f"{missing} clients have not heard of the rollback"
    failed = [at for one in answers for at in one["failed"]]
    at = decided(http, name)
    switched = real + got
    until = sum(one <= at for one in failed)
    return [at - since, percentile(switched, 0.99), max(switched), until, len(failed), verified]


def measure(options: argparse.Namespace, controller: Controller) -> None:
    url = f"http://127.0.0.1:{controller.port}"
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {ADMIN}"}, timeout=30) as http:
        token = http.post("/api/v1/tokens", json={"role": "sdk"}).raise_for_status().json()["token"]
        variants = {"legacy": False, "unified": True}
        http.post("/api/v1/flags", json={"key": FLAG, "variants": variants, "control": "legacy"}).raise_for_status()
        hosts = [Remote(url, token, options.reporting // 2, n, options.events / 2) for n in range(2)]
        for one in hosts:
            one.answer()
        streams = Streams(options.clients - options.reporting, controller.port, token)
        print("| round | decided s | 99 % switched s | last s | failed until decided | failed in all | verified s |")
        print("|---|---|---|---|---|---|---|")
        rounds = []
        for number in range(options.rounds):
            rounds.append(found := round_of(http, hosts, streams, f"round-{number}", options.share))
            print(f"| {number + 1} | {_row(found)} |", flush=True)
        print(f"| median | {_row([median(column) for column in zip(*rounds, strict=True)])} |")
        asked(hosts, "end")
        streams.end()
        for one in hosts:
            one.process.terminate()
            one.process.wait(20)


def _row(found: Sequence[float]) -> str:
    decision, most, last, until, failed, verified = found
    return f"{decision:.2f} | {most:.2f} | {last:.2f} | {until:.0f} | {failed:.0f} | {verified:.2f}"


def main() -> None:
    if sys.argv[1:2] == ["host"]:
        url, token, count, number, per_second = sys.argv[2:]
        host(url, token, int(count), int(number), float(per_second))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--reporting", type=int, default=40)
    parser.add_argument("--events", type=float, default=500)
    parser.add_argument("--share", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8 * options.clients)), hard))
    with tempfile.TemporaryDirectory() as folder:
        controller = Controller(f"sqlite:///{folder}/canary.db")
        controller.start()
        try:
            measure(options, controller)
        finally:
            controller.stop()


if __name__ == "__main__":
    main()
