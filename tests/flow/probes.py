"""Requests that are sent to a controller all the time, and what was answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.builders import FLAG, ROLLOUT
from tests.flow.site import Site

#: A client's own patience: whatever is answered later is not heard by anybody.
ANSWER_S = 10.0
PROBE_FLAG = "probe"
_WAIT_S = 20.0
_UNAVAILABLE = 503


@dataclass(frozen=True)
class Heard:
    """One answer: when (monotonic seconds) it was asked for, how long it took, its status (0: none came)."""

    at_s: float
    took_s: float
    status: int
    retry_after: bool
    words: str = ""

    @property
    def wrong(self) -> str:
        """What must not be answered, in words; empty where all is well."""
        if self.status == 0:
            return self.words
        if self.took_s > ANSWER_S:
            return f"{self.status} after {self.took_s:.1f} s"
        if self.status == _UNAVAILABLE and not self.retry_after:
            return "503 without Retry-After"
        return "" if self.done or self.status == _UNAVAILABLE else f"{self.status} {self.words}"

    @property
    def done(self) -> bool:
        """Whether it was what was asked for."""
        return 200 <= self.status < 300


@dataclass
class Probe:
    """One request, sent again and again; `send(client, number)` sends it for the nth time.

    A probe that `insists` goes on to the next number only once one is acknowledged; one that is answered `from_memory`
    must be, whatever the database does.
    """

    name: str
    send: Callable[[httpx.Client, int], httpx.Response]
    every_s: float = 0.5
    insists: bool = False
    from_memory: bool = False
    heard: list[Heard] = field(default_factory=list)
    acknowledged: int = 0

    def ask(self, client: httpx.Client) -> None:
        """Once."""
        began = time.monotonic()
        try:
            answer = self.send(client, self.acknowledged + 1)
        except httpx.HTTPError as error:
            self.heard.append(Heard(began, time.monotonic() - began, 0, False, repr(error)))
            return
        words = "" if answer.is_success else answer.text[:200]
        took = time.monotonic() - began
        self.heard.append(Heard(began, took, answer.status_code, "Retry-After" in answer.headers, words))
        self.acknowledged += answer.is_success and self.insists

    def wrong(self) -> list[str]:
        """What should not have been answered, in words."""
        told = [one.wrong for one in self.heard if one.wrong]
        return told + [f"{one.status} {one.words}" for one in self.heard if self.from_memory and not one.done]

    @property
    def settled(self) -> bool:
        """Whether what was sent last is acknowledged."""
        return not self.heard or self.heard[-1].done

    def works_since(self, since_s: float) -> float | None:
        """When the first request that was sent after a moment succeeded; None before that."""
        return next((one.at_s + one.took_s for one in self.heard if one.at_s >= since_s and one.done), None)


class Probes:
    """All probes of one replica, a thread each."""

    def __init__(self, site: Site, token: str, name: str) -> None:
        self._site = site
        self._name = name
        self._as_client = {
            "Authorization": f"Bearer {token}",
            "Canary-Instance": f"{name}-reader",
            "Canary-Reports": "0",
        }
        self._as_admin = dict(site.http.headers)
        self._stopping = threading.Event()
        self._until = 0.0
        self.all = [*self._writing(), *self._reading()]
        self._threads = [threading.Thread(target=self._run, args=(probe,), daemon=True) for probe in self.all]

    @property
    def writing(self) -> list[Probe]:
        """Those that change something."""
        return [probe for probe in self.all if probe.insists]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; probes that insist are answered first."""
        self._until = time.monotonic() + _WAIT_S
        self._stopping.set()
        for thread in self._threads:
            thread.join(2 * _WAIT_S)

    def _run(self, probe: Probe) -> None:
        with httpx.Client(base_url=self._site.url, timeout=_WAIT_S) as client:
            while not self._stopping.wait(probe.every_s):
                probe.ask(client)
            while probe.insists and not probe.settled and time.monotonic() < self._until:
                time.sleep(probe.every_s)
                probe.ask(client)

    def _writing(self) -> Iterator[Probe]:
        def report(client: httpx.Client, number: int) -> httpx.Response:
            row = {"flag": PROBE_FLAG, "variant": "legacy", "event_type": "probe", "attempts": 1, "delivered": 1}
            said = {"batch": f"{self._name}-report-{number}", "instance": f"{self._name}-probe", "seq": number}
            body = {**said, "counted_by": "client", "closing": True, "counts": [row]}
            return client.post("/sdk/v1/reports", json=body, headers=self._as_client)

        def change(client: httpx.Client, number: int) -> httpx.Response:
            key = f"{self._name}-flag-{number}"
            body = {"key": key, "variants": {"legacy": False, "unified": True}, "control": "legacy"}
            return client.post("/api/v1/flags", json=body, headers={**self._as_admin, "Idempotency-Key": key})

        yield Probe("report", report, 0.25, insists=True)
        yield Probe("change", change, 2.0, insists=True)

    def _reading(self) -> Iterator[Probe]:
        def get(path: str, headers: dict[str, Any]) -> Callable[[httpx.Client, int], httpx.Response]:
            return lambda client, _number: client.get(path, headers=headers)

        def evaluate(client: httpx.Client, _number: int) -> httpx.Response:
            body = {"context": {"targetingKey": "anna"}}
            return client.post(f"/ofrep/v1/evaluate/flags/{FLAG}", json=body, headers=self._as_client)

        def stream(client: httpx.Client, _number: int) -> httpx.Response:
            with client.stream("GET", "/sdk/v1/stream", headers=self._as_client) as answer:
                if answer.is_success:
                    next(answer.iter_raw())
                    return httpx.Response(answer.status_code)
                answer.read()
                return answer

        yield Probe("snapshot", get("/sdk/v1/snapshot", self._as_client))
        yield Probe("stream", stream, 1.0)
        yield Probe("rollout", get(f"/api/v1/rollouts/{ROLLOUT}", self._as_admin))
        yield Probe("ofrep", evaluate, from_memory=True)
        yield Probe("page", get("/", self._as_admin), 1.0)
        yield Probe("health", get("/healthz", {}), 1.0)
        yield Probe("metrics", get("/metrics", self._as_admin), 2.0)


@contextmanager
def probed(probes: list[Probes]) -> Iterator[None]:
    """Ask as long as the block lasts."""
    for one in probes:
        one.start()
    try:
        yield
    finally:
        for one in probes:
            one.stop()


def answers(probes: list[Probe], since_s: float, until_s: float) -> Counter[int]:
    """How often which status was answered to what was asked in a time."""
    return Counter(one.status for probe in probes for one in probe.heard if since_s <= one.at_s < until_s)
