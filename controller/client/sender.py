"""The thread that sends reports: one batch at a time, under the same id until it is acknowledged."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from typing import Protocol

import httpx

from controller.client.batches import Frozen
from controller.client.pace import Pace
from controller.client.spool import Spool
from controller.client.transport import Endpoint, Line, Word, bounded_body, retry_after, word_of

logger = logging.getLogger(__name__)

_REPORTS = "/sdk/v1/reports"
_TICK_S = 0.25
_CLOSING_BACKOFF_S = 0.5


class Source(Protocol):
    """Where the batches come from."""

    def now_ms(self) -> int:
        """The clock of the ages."""

    def maintain(self) -> bool:
        """Called a few times a second; True when a failure came out of it."""

    def waiting(self) -> bool:
        """Whether there is something to send."""

    def freeze(self, *, closing: bool) -> Frozen:
        """The next batch; `closing` on the last one of a process that ends."""

    def refused(self, frozen: Frozen, status: int, body: bytes) -> list[Frozen]:
        """The batch will never be taken; the parts to try instead."""


class Sender:
    """Flushes a source every `flush_interval`, sooner when hastened, and at least every `heartbeat` (seconds)."""

    def __init__(  # noqa: PLR0913 - what belongs to one reporter, made in one place
        self,
        endpoint: Endpoint,
        source: Source,
        *,
        headers: dict[str, str],
        flush_interval: float,
        heartbeat: float,
        pace: Pace,
        spool: Spool | None = None,
    ) -> None:
        self.retries = self.sent = 0
        self._endpoint = endpoint
        self._source = source
        self._headers = headers
        self._flush_interval = flush_interval
        self._heartbeat = heartbeat
        self._pace = pace
        self._spool = spool
        self._turn = threading.Condition()
        self._thread: threading.Thread | None = None
        self._line = Line()
        self._flight: deque[Frozen] = deque()
        self._more = False
        self._due_at = 0.0
        self._next_try = 0.0
        self._last_sent = -math.inf
        self._failures = 0
        self._asked = self._covered = self._flushed = 0
        self._closing = self._ended = False

    @property
    def running(self) -> bool:
        """Whether the thread is there."""
        return self._thread is not None

    def start(self) -> None:
        """Begin to send; the first report announces the instance."""
        self._closing = self._ended = False
        for left in self._flight:  # of a close that was not acknowledged: it is no farewell any more
            left.report.closing = False
        if self._spool is not None:
            known = {frozen.report.batch for frozen in self._flight}
            spooled = self._spool.load(self._headers["Canary-Instance"], self._source.now_ms())
            self._flight.extend(frozen for frozen in spooled if frozen.report.batch not in known)
        self._line = Line()
        self._due_at = self._next_try = 0.0
        self._thread = threading.Thread(target=self._run, name="canary-reports", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Send everything that waits, say that the instance closes, and end; False if `timeout` was too short."""
        thread = self._thread
        if thread is None:
            return True
        with self._turn:
            self._closing = True
            self._next_try = 0.0
            self._turn.notify_all()
        thread.join(timeout)
        complete = not thread.is_alive()
        if not complete:
            self._ended = True
            self._line.cut()
            thread.join(1.0)
            self._keep_unsent()
            logger.warning("closed with reports that the controller has not acknowledged")
        self._thread = None
        return complete

    def _keep_unsent(self) -> None:
        """Whatever could not be sent goes to the spool, if there is one."""
        if self._spool is None:
            return
        more = self._more or not self._flight or self._source.waiting()
        while more:
            frozen = self._source.freeze(closing=True)
            self._flight.append(frozen)
            more = frozen.more
        self._spool.keep(self._flight, self._source.now_ms())

    def hasten(self, *, urgent: bool = False) -> None:
        """Flush soon: at once where `urgent`, else within 50 ms, several times a second at most."""
        now = time.monotonic()
        at = now if urgent else max(now + self._pace.hasty, self._last_sent + self._pace.hasty_gap)
        if self._due_at <= at:
            return
        with self._turn:
            self._due_at = min(self._due_at, at)
            self._turn.notify_all()

    def flush(self, timeout: float) -> bool:
        """Send everything recorded up to now and wait until it is acknowledged; False if `timeout` was too short."""
        with self._turn:
            self._asked += 1
            asked, self._due_at = self._asked, 0.0
            self._turn.notify_all()
            return self._turn.wait_for(lambda: self._flushed >= asked or not self.running, timeout) and self.running

    def _run(self) -> None:
        with self._endpoint.http(self._pace, self._pace.answer) as http:
            while not self._ended:
                try:
                    self._wait()
                    if self._source.maintain():
                        self.hasten()
                    if time.monotonic() >= self._due():
                        self._exchange(http)
                except Exception:
                    logger.exception("reporting failed; it is tried again")
                    self._failed(0.0)

    def _due(self) -> float:
        if self._flight or self._closing:
            return self._next_try
        interval = self._flush_interval if self._source.waiting() else self._heartbeat
        return max(self._next_try, min(self._due_at, self._last_sent + interval))

    def _wait(self) -> None:
        with self._turn:
            pause = self._due() - time.monotonic()
            if pause > 0 and not self._ended:
                self._turn.wait(min(pause, _TICK_S, self._flush_interval))

    def _exchange(self, http: httpx.Client) -> None:
        if not self._flight:
            with self._turn:
                self._due_at = math.inf
                self._covered = self._asked
            frozen = self._source.freeze(closing=self._closing)
            self._more = frozen.more
            self._flight.append(frozen)
        frozen = self._flight[0]
        word, wait, status, body = self._post(http, frozen)
        if word is Word.RETRY:
            if self._spool is not None and not self._failures:
                self._spool.keep([frozen], self._source.now_ms())  # in case this process dies during the outage
            self._failed(wait)
            return
        self._flight.popleft()
        if self._spool is not None:
            self._spool.done(frozen.report.batch)
        self._failures = 0
        self._next_try = 0.0
        if word is Word.REFUSED:
            self._flight.extendleft(reversed(self._source.refused(frozen, status, body)))
        else:
            self.sent += 1
        if not self._flight:
            self._landed(frozen)

    def _landed(self, frozen: Frozen) -> None:
        with self._turn:
            self._last_sent = time.monotonic()
            if self._more:
                self._due_at = 0.0
                return
            self._flushed = self._covered
            # A spooled farewell is an earlier process's.
            own = frozen.report.instance == self._headers["Canary-Instance"]
            self._ended = self._ended or (own and frozen.report.closing)
            self._turn.notify_all()

    def _post(self, http: httpx.Client, frozen: Frozen) -> tuple[Word, float, int, bytes]:
        try:
            content, headers = frozen.body(self._source.now_ms())
        except ValueError as error:  # what cannot be written as JSON never will be, and must not block the rest
            return Word.REFUSED, 0.0, 0, str(error).encode()
        try:
            with http.stream(
                "POST", _REPORTS, content=content, headers=self._headers | headers, extensions=self._line.extensions
            ) as response:
                return (
                    word_of(response),
                    retry_after(response),
                    response.status_code,
                    bytes(bounded_body(response, self._pace.answer)),
                )
        except (httpx.HTTPError, ValueError, OSError) as error:
            logger.debug("a report was not acknowledged: %r", error)
            return Word.RETRY, 0.0, 0, b""

    def _failed(self, wait: float) -> None:
        self.retries += 1
        pause = self._pace.backoff(self._failures)
        self._failures += 1
        self._next_try = time.monotonic() + max(wait, min(pause, _CLOSING_BACKOFF_S) if self._closing else pause)
