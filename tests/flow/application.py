"""An application as a process of its own: users keep coming, whatever becomes of the controller.

Started as `python -m tests.flow.application URL TOKEN INSTANCE`; reads orders and answers them, a JSON line each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict
from typing import Any

from controller.client import CanaryClient, DeliveryReporter
from tests.builders import EVENTS, FLAG

_PAUSE_S = 0.03
CANARY = "unified"


class Users:
    """Asks the client what each user gets, and reports what became of it; notes whatever an application would feel.

    Attributes:
        sent, failed: outcomes that were reported, by this side's own count.
        served: users by variant. slowest_ms: the longest that client and reporter kept a user waiting.
        errors: whatever was raised; nothing should be.
    """

    def __init__(self, client: CanaryClient, reporter: DeliveryReporter, name: str) -> None:
        self._client, self._reporter, self._name = client, reporter, name
        self.sent = self.failed = 0
        self.served: Counter[str] = Counter()
        self.slowest_ms = 0.0
        self.errors: list[str] = []
        self.broken = False
        self._coming = threading.Event()
        self._users = 0
        self._idle = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def come(self, *, coming: bool) -> None:
        """Let users come, or wait until none is left."""
        if coming:
            self._idle.clear()
            self._coming.set()
        else:
            self._coming.clear()
            self._idle.wait()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            if not self._coming.is_set():
                self._idle.set()
            self._coming.wait()
            pause.wait(_PAUSE_S)
            self._users += 1
            try:
                self._serve(f"{self._name}-user-{self._users}")
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                self.errors.append(repr(error))

    def _serve(self, user: str) -> None:
        began = time.perf_counter()
        found = self._client.details(FLAG, user, False)
        self._took(began)
        self.served[str(found.variant)] += 1
        fails = self.broken and found.variant == CANARY
        for event in EVENTS:
            began = time.perf_counter()
            attempt = self._reporter.attempt(
                flag=FLAG,
                variant=found.variant or "none",
                event_type=event,
                user_id=user,
                rollout=found.rollout,
                epoch=found.epoch,
            )
            _ = attempt.failed("on purpose") if fails else attempt.delivered(1.0)
            self._took(began)
            self.sent += 1
            self.failed += fails

    def _took(self, began: float) -> None:
        self.slowest_ms = max(self.slowest_ms, 1000 * (time.perf_counter() - began))


class Application:
    """The process, as its test sees it."""

    def __init__(self, url: str, token: str, instance: str) -> None:
        command = [sys.executable, "-m", "tests.flow.application", url, token, instance]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, act: str) -> dict[str, Any]:
        """One order: come, pause, break, flush or state; the answer is always the state."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{act}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the application ended ({self._process.wait()})"
        return dict(json.loads(line))

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()


def _serve(url: str, token: str, instance: str) -> None:
    reporter = DeliveryReporter(url, token, instance=instance, flush_interval=0.25)
    client = CanaryClient(url, token, reporter=reporter, instance=instance)
    client.start(20)
    users = Users(client, reporter, instance)
    for line in sys.stdin:
        flushed = False
        match line.strip():
            case "come":
                users.come(coming=True)
            case "pause":
                users.come(coming=False)
            case "break":
                users.broken = True
            case "flush":
                flushed = reporter.flush(1)
        now = client.details(FLAG, "user-0", False).variant
        told = {name: getattr(users, name) for name in ("sent", "failed", "slowest_ms", "served", "errors")}
        told |= {"flushed": flushed, "stale": client.stale, "now": now, "reporter": asdict(reporter.counters())}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
