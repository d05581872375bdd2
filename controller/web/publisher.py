"""Tells streams what has been committed: the newest snapshot to clients, and that something changed to pages."""

from __future__ import annotations

import json
import secrets
import threading
import time

import structlog

from controller.clock import Clock
from controller.domain.errors import Unavailable
from controller.tracing import span, traceparent
from controller.web.headcount import Headcount
from controller.web.state import Current, FlagState
from controller.web.stream import StreamHub

log = structlog.get_logger(__name__)

#: Topics of the hub: for clients, for pages, and for evaluators that ask again when they are told.
SNAPSHOTS = "snapshots"
CHANGES = "changes"
REFETCHES = "refetches"

#: Looked at this often even when nobody said that something changed: the rows are the truth.
_POLL_EVERY_S = 1.0
#: Pages are told at most this often; clients at once.
_TELL_EVERY_S = 0.25


class Publisher:
    """One thread that hands the newest revision to the hub; revisions never go back."""

    def __init__(self, state: FlagState, hub: StreamHub, clock: Clock, headcount: Headcount) -> None:
        self._state = state
        self._headcount = headcount
        self._hub = hub
        self._clock = clock
        self._woken = threading.Event()
        self._dirty = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canary-publisher", daemon=True)
        self._changes = 0
        self._name = secrets.token_hex(8)  # with a change's number its name, which no other process gives
        self._tell_from = 0.0
        self._cause: str | None = None  # the span that the next publication belongs to, where one is known
        self.revision = 0

    def start(self) -> None:
        """Publish what there is, and watch for more."""
        self._dirty.set()
        self._look()
        self._thread.start()

    def changed(self) -> None:
        """A commit may have changed what clients or pages see."""
        self._cause = traceparent() or self._cause
        self._state.changed()
        self.counted()

    def counted(self) -> None:
        """A commit has changed what pages see, and no snapshot: reports come in all the time."""
        self._dirty.set()
        self._woken.set()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            until_told = self._tell_from - time.monotonic()
            self._woken.wait(max(0.0, until_told) if self._dirty.is_set() else _POLL_EVERY_S)
            self._woken.clear()
            self._look()

    def _look(self) -> None:
        try:
            current = self._state.fresh()
        except Unavailable as error:
            log.warning("snapshot not read", error=error.detail)
            self._stopping.wait(_TELL_EVERY_S)
            return
        cause, self._cause = self._cause, None
        self._headcount.look()
        if current.revision > self.revision:
            self.revision = current.revision
            with span("publish", cause, revision=current.revision):
                self._publish(current)
            self._dirty.set()
        if self._dirty.is_set() and time.monotonic() >= self._tell_from:
            self._dirty.clear()
            self._tell_from = time.monotonic() + _TELL_EVERY_S
            self._changes += 1
            data = json.dumps({"revision": self.revision, "change": f"{self._name}-{self._changes}"}).encode()
            self._hub.publish(CHANGES, str(self._changes), "change", data)

    def _publish(self, current: Current) -> None:
        self._hub.publish(SNAPSHOTS, str(current.revision), "snapshot", current.body)
        told = {"type": "refetchEvaluation", "etag": str(current.revision), "lastModified": self._clock() // 1000}
        self._hub.publish(REFETCHES, str(current.revision), "message", json.dumps(told).encode(), quiet=True)
