"""The thread that keeps a snapshot current: one stream, and polling while the stream does not work."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import cast

import httpx
import msgspec
from httpx_sse import EventSource, ServerSentEvent

from controller.client.holder import SnapshotHolder
from controller.client.pace import Clock, Pace
from controller.client.transport import MOST_BODY, Endpoint, Line, bounded_body, retry_after

logger = logging.getLogger(__name__)

_SNAPSHOT = "/sdk/v1/snapshot"
_STREAM = "/sdk/v1/stream"
#: A stream that lived so long was a working one; a shorter life counts as a failure and backs off.
_LIVED_S = 5.0
_POLL_AFTER = 2
#: A controller asks for no longer pauses than this.
_LONGEST_RETRY_S = 30.0


class _End(Enum):
    """How a stream ended: it worked; it failed; it connected and never said a word."""

    LIVED = auto()
    FAILED = auto()
    MUTE = auto()


class _Heartbeat(msgspec.Struct):
    revision: int | str | None = None
    instances: int = 0


class _Bounded:
    """A response whose events cannot grow without end nor keep us waiting for ever; `fresh()` after each event.

    Comments are no events: a controller that has lost its database sends nothing else, and another may be better off.
    """

    def __init__(self, response: httpx.Response, silence: float) -> None:
        self.headers = response.headers
        self._response = response
        self._silence = silence
        self._size = 0
        self._since = time.monotonic()

    def fresh(self) -> None:
        self._size = 0
        self._since = time.monotonic()

    def iter_text(self) -> Iterator[str]:
        for text in self._response.iter_text():
            self._size += len(text)
            if time.monotonic() - self._since > self._silence:
                raise httpx.ReadTimeout(f"no event for {self._silence:g} s")
            if self._size > MOST_BODY:
                raise ValueError(f"an event of the stream is larger than {MOST_BODY} bytes")
            yield text


class SnapshotFollower:
    """Follows the controller until it is stopped; nothing that the network does ends the thread.

    Args:
        headers: of every request (instance and whether it reports), read anew each time.
        ticked: called after everything that may have changed the standing.
        denied: called with 401 or 403.
    """

    def __init__(  # noqa: PLR0913 - the parts of one connection, all needed
        self,
        endpoint: Endpoint,
        holder: SnapshotHolder,
        *,
        headers: Callable[[], dict[str, str]],
        ticked: Callable[[], None],
        denied: Callable[[int], None],
        poll_interval: float,
        pace: Pace,
        clock: Clock,
    ) -> None:
        self._endpoint = endpoint
        self._holder = holder
        self._headers = headers
        self._ticked = ticked
        self._denied = denied
        self._poll_interval = poll_interval
        self._pace = pace
        self._clock = clock
        self._stopping = threading.Event()
        self._line = Line()
        self._etag: tuple[str, int | None] = ("", None)
        self._not_before = 0.0
        self._asked_to_wait = 0.0
        self._retry_s = 0.0
        self._failures = 0
        self._next_stream = 0.0
        self._next_poll = 0.0
        self._thread = threading.Thread(target=self._run, name="canary-snapshots", daemon=True)

    def start(self) -> None:
        """Begin to follow; once."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """End the thread, also out of a silent stream; whether it has ended."""
        self._stopping.set()
        self._line.cut()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with self._endpoint.http(self._pace, self._pace.silence) as http:
            # One poll comes first: a proxy that holds a stream back must not hold up the start.
            self._safely(self._poll, http)
            self._ticked()
            while not self._stopping.is_set():
                if time.monotonic() >= max(self._next_stream, self._not_before):
                    self._follow(http)
                if self._poll_is_due():
                    self._safely(self._poll, http)
                    self._next_poll = time.monotonic() + max(self._poll_interval, self._asked_to_wait)
                self._ticked()
                self._stopping.wait(self._pause())

    def _pause(self) -> float:
        due = self._next_stream if self._failures < _POLL_AFTER else min(self._next_stream, self._next_poll)
        return max(0.01, max(due, self._not_before) - time.monotonic())

    def _poll_is_due(self) -> bool:
        now = time.monotonic()
        if self._stopping.is_set() or now < self._not_before or not self._failures:
            return False
        return self._holder.stale() or (self._failures >= _POLL_AFTER and now >= self._next_poll)

    def _follow(self, http: httpx.Client) -> None:
        end = self._safely(self._stream, http)
        self._failures = 0 if end is _End.LIVED else self._failures + 1
        # The controller says when to come back, and the more clients it has, the later: so that they come in turn.
        pause = self._pace.pause(max(0, self._failures - 1), self._retry_s)
        if end is _End.MUTE:
            pause = self._pace.mute_stream
        if end is _End.MUTE or self._asked_to_wait:  # it will not be tried for long: poll from now on
            self._failures = max(self._failures, _POLL_AFTER)
        self._next_stream = time.monotonic() + max(pause, self._asked_to_wait)

    def _safely(self, step: Callable[[httpx.Client], _End], http: httpx.Client) -> _End:
        self._asked_to_wait = 0.0
        end = self._tried(step, http)
        if end is not _End.LIVED:
            self._holder.missed()
        return end

    def _tried(self, step: Callable[[httpx.Client], _End], http: httpx.Client) -> _End:
        try:
            return step(http)
        except (httpx.HTTPError, ValueError, OSError) as error:
            logger.debug("no contact with the controller: %r", error)
        except Exception:  # the thread must outlive anything, or a kill switch would not arrive
            logger.warning("following the controller failed; it is tried again", exc_info=not self._stopping.is_set())
        return _End.FAILED

    def _stream(self, http: httpx.Client) -> _End:
        headers = self._headers() | {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._holder.revision is not None and not self._holder.stale():
            headers["Last-Event-ID"] = str(self._holder.revision)
        asked_at = self._clock()
        with http.stream("GET", _STREAM, headers=headers, extensions=self._line.extensions) as response:
            if response.status_code != httpx.codes.OK:
                return self._turned_away(response)
            return self._listen(_Bounded(response, self._pace.silence), asked_at)

    def _listen(self, response: _Bounded, asked_at: float) -> _End:
        began = time.monotonic()
        spoke, last = False, asked_at
        try:
            for event in EventSource(cast(httpx.Response, response)).iter_sse():
                now = self._clock()
                if now - last > self._pace.silence:
                    # The process slept: what is buffered was said long ago and must not renew a lease.
                    return _End.FAILED
                response.fresh()
                self._take(event, now)
                spoke, last = True, now
        except httpx.TransportError:
            pass  # a stream always ends by breaking
        if not spoke:
            return _End.MUTE if time.monotonic() - began >= self._pace.silence else _End.FAILED
        return _End.LIVED if time.monotonic() - began >= _LIVED_S else _End.FAILED

    def _take(self, event: ServerSentEvent, now: float) -> None:
        if event.retry is not None:
            self._retry_s = min(max(event.retry, 0) / 1000, _LONGEST_RETRY_S)
        if event.event == "snapshot":
            self._holder.receive(event.data.encode("utf-8", "surrogatepass"), now)
        elif event.event == "heartbeat":
            revision, instances = _said(event.data)
            self._holder.heard(now, revision, instances)
        self._ticked()

    def _poll(self, http: httpx.Client) -> _End:
        headers = self._headers()
        etag, revision = self._etag
        if etag and revision == self._holder.revision:
            headers["If-None-Match"] = etag
        asked_at = self._clock()
        with http.stream("GET", _SNAPSHOT, headers=headers, extensions=self._line.extensions) as response:
            self._holder.counted(_count(response.headers.get("Canary-Instances", "")))
            if response.status_code == httpx.codes.NOT_MODIFIED and "If-None-Match" in headers:
                self._holder.confirmed(asked_at)
                return _End.LIVED
            if response.status_code != httpx.codes.OK:
                return self._turned_away(response)
            held = self._holder.receive(bounded_body(response, self._pace.answer), asked_at)
            self._etag = (response.headers.get("ETag", ""), self._holder.revision) if held else ("", None)
        return _End.LIVED if held else _End.FAILED

    def _turned_away(self, response: httpx.Response) -> _End:
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            self._denied(response.status_code)
        self._asked_to_wait = retry_after(response)
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:  # a 503 of the stream does not forbid polling
            self._not_before = time.monotonic() + self._asked_to_wait
        return _End.FAILED


def _said(data: str) -> tuple[int | None, int]:
    """A heartbeat's revision, and how many clients there are; None and 0 where it does not say."""
    try:
        beat = msgspec.json.decode(data, type=_Heartbeat)
        return (int(beat.revision) if beat.revision is not None else None), beat.instances
    except (msgspec.MsgspecError, ValueError):
        return None, 0


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
