"""Clients that send reports of many outcomes over HTTP, gzipped, as the embedded reporter writes them."""

from __future__ import annotations

import gzip
import http.client
import json
import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from typing import Any
from urllib.parse import urlsplit

from controller.domain.outcomes import CRITICAL_EVENTS

VARIANTS = (("legacy", "control"), ("unified", "canary"))


@dataclass(frozen=True)
class Load:
    """What to send: to which server, about which rollout, how many outcomes a report, by how many senders.

    Attributes:
        reports: by each sender, made before the first one is sent, so that making them takes nobody's CPU meanwhile.
        per_s: reports a second by all senders together; None: as many as are answered.
        failing_percent: of the control's outcomes.
    """

    url: str
    token: str
    flag: str
    rollout: str
    epoch: int
    outcomes: int = 500
    senders: int = 8
    reports: int = 100
    per_s: float | None = None
    tag: str = "a"
    failing_percent: int = 1


@dataclass
class Answered:
    """What came back: milliseconds of each acknowledgement, and how many were refused, by status."""

    latencies_ms: list[float] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    def percentile(self, share: float) -> float:
        """The latency that this share of the acknowledgements stayed under."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def a_report(load: Load, sender: int, number: int, chance: random.Random) -> bytes:
    """One report: outcomes with users and runs, their counts by event and arm, and the evidence of each event."""
    outcomes: list[dict[str, Any]] = []
    tally: dict[tuple[str, str], list[int]] = {}
    for at in range(load.outcomes):
        variant, _ = VARIANTS[at % 2]
        event = CRITICAL_EVENTS[at % 5]
        failed = chance.randrange(100) < load.failing_percent and variant == "legacy"
        row = tally.setdefault((variant, event), [0, 0, 0])
        latency_ms = 20 + at % 50
        row[0] += 1
        row[1] += failed
        row[2] += 0 if failed else latency_ms
        said: dict[str, Any] = {
            "flag": load.flag,
            "variant": variant,
            "event_type": event,
            "outcome": "failed" if failed else "delivered",
            "event_id": f"{chance.getrandbits(96):024x}",
            "age_ms": at * 4,
            "latency_ms": latency_ms,
            "status": "timeout" if failed else "confirmed",
            "user": f"{chance.getrandbits(128):032x}",
            "run": f"{chance.getrandbits(128):032x}",
            "epoch": load.epoch,
        }
        outcomes.append(said)
    instance = f"bench-{load.tag}-{sender}"
    body = {
        "batch": f"{instance}-{number:08}",
        "instance": instance,
        "seq": number,
        "counted_by": "client",
        "revision": 1,
        "attempted": number * load.outcomes,
        "arms": [{"flag": load.flag, "variant": name, "exposures": number} for name, _ in VARIANTS],
        "counts": [_count(load, *key, *row) for key, row in tally.items()],
        "evidence": [_proof(load, *key, *row) for key, row in tally.items()],
        "outcomes": outcomes,
    }
    return gzip.compress(json.dumps(body).encode(), 1)


def _count(load: Load, variant: str, event: str, total: int, failed: int, latency_ms: int) -> dict[str, Any]:
    said = {"flag": load.flag, "variant": variant, "event_type": event, "attempts": total}
    return {**said, "delivered": total - failed, "failed": failed, "latency_ms": latency_ms}


def _proof(load: Load, variant: str, event: str, total: int, failed: int, _latency_ms: int) -> dict[str, Any]:
    said = {"rollout": load.rollout, "epoch": load.epoch, "arm": dict(VARIANTS)[variant], "stream": event}
    return {**said, "failed": 1000 * failed, "total": 1000 * total}


def run(load: Load, begins: Callable[[], None] = lambda: None) -> Answered:
    """Send from processes of their own; `begins` is called when all have made their reports and start to send."""
    context = multiprocessing.get_context("fork")
    gate, answers = context.Barrier(load.senders + 1), context.SimpleQueue()
    processes = [context.Process(target=_send, args=(load, sender, gate, answers)) for sender in range(load.senders)]
    for process in processes:
        process.start()
    gate.wait()
    begins()
    parts: list[Answered] = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    total = Answered(seconds=max(part.seconds for part in parts))
    for part in parts:
        total.latencies_ms += part.latencies_ms
        for status, count in part.refused.items():
            total.refused[status] = total.refused.get(status, 0) + count
    return total


def _send(load: Load, sender: int, gate: Barrier, answers: SimpleQueue[Answered]) -> None:
    chance = random.Random(f"{load.tag}-{sender}")
    ready = [a_report(load, sender, number, chance) for number in range(1, load.reports + 1)]
    address = urlsplit(load.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    headers = {"Authorization": f"Bearer {load.token}", "Content-Type": "application/json", "Content-Encoding": "gzip"}
    gate.wait()
    answered, began = Answered(), time.perf_counter()
    for number, body in enumerate(ready):
        if load.per_s is not None:
            due = began + (number * load.senders + sender) / load.per_s
            time.sleep(max(0.0, due - time.perf_counter()))
        sent = time.perf_counter()
        connection.request("POST", "/sdk/v1/reports", body, headers)
        response = connection.getresponse()
        response.read()
        if response.status == http.client.OK:
            answered.latencies_ms.append((time.perf_counter() - sent) * 1000)
        else:
            answered.refused[response.status] = answered.refused.get(response.status, 0) + 1
    answered.seconds = time.perf_counter() - began
    connection.close()
    answers.put(answered)
