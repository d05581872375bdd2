"""Server-sent events as native coroutines: one hub holds the latest message of each topic and tells every client.

A client never has a queue. It remembers the id of what it was sent last and takes the topic's latest message when that
is another one; so a slow reader skips what it missed, buffers nothing and delays nobody.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.web.asgi import Headers, Message, Problem, Receive, Scope, Send, header, send_problem
from controller.web.frames import COMMENT, Frames, counted, encode, heartbeat

#: Clients that are woken in one turn; then the loop rests a moment, so that threads that answer API requests get the
#: interpreter: without it each of their steps waits until a whole turn is over.
FAN_OUT = 25
_REST_S = 0.001
#: Heartbeats go out in so many groups, one after the other.
_SLOTS = 20
#: Into so many parts the clients of a topic are divided for whoever asks who they are.
PARTS = 15
#: Bytes that a client may upload on a stream (nobody needs any) before it counts as gone.
_MAX_UPLOAD = 64 * 1024
_FULL = Problem(
    503, "too_many_streams", "Too many streams", "The stream limit is reached; poll, or retry.", (("Retry-After", "5"),)
)
_CLOSING = Problem(503, "shutting_down", "Shutting down", "The server is ending; retry.", (("Retry-After", "1"),))
_AT_ONCE = b"retry: 100\n\n"
_HEADERS: Headers = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What one hub holds at most, and how long it waits."""

    #: streams open at one time, over all topics; the next one is refused (503)
    streams: int = 10_000
    #: bytes of one message
    message_bytes: int = 8 * 1024 * 1024
    #: seconds between the heartbeats of one client
    heartbeat_s: float = 10.0
    #: seconds that a client may take to accept one write before it is dropped
    write_s: float = 10.0
    #: seconds after which a stream is closed, +-10 %, so that its client comes back and is authorized again
    age_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class StreamStats:
    """The hub in figures."""

    #: open streams by topic; topics without any are left out
    clients: Mapping[str, int]
    #: messages sent to clients (heartbeats are not counted)
    delivered: int
    #: clients dropped because they did not take a write in time
    dropped: int
    #: streams refused because the limit was reached or the server was ending
    refused: int


@dataclass(frozen=True, slots=True)
class Opening:
    """How one stream begins."""

    #: what its client calls itself; empty where it does not
    name: str = ""
    #: header fields beside those of every stream
    headers: Headers = field(default_factory=list)
    #: the middle of the reconnect delays that the client is given (half to one and a half of it); the hub gives longer
    #: ones the more clients it has, so that no more than a thousand or so come back in a second
    retry_ms: int = 1000


class _Client:
    """One open stream, as its hub sees it; `task` is the one that serves it, `name` what its client calls itself."""

    __slots__ = ("_wake", "due", "ended", "last_id", "name", "slot", "stuck", "task", "writing_since")

    def __init__(self, last_id: str | None, name: str, task: asyncio.Task[Any]) -> None:
        self.last_id = last_id
        self.name = name
        self.task = task
        self.slot = 0
        self.due = self.ended = self.stuck = False
        self.writing_since: float | None = None
        self._wake: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """There is something new; a client that is writing finds out by itself."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def beat(self) -> None:
        """It is time for a heartbeat."""
        self.due = True
        self.wake()

    def end(self) -> None:
        """Finish after the write under way."""
        self.ended = True
        self.wake()

    def drop_if_stuck(self, since: float) -> None:
        """Break off a write that began before `since`."""
        if self.writing_since is not None and self.writing_since < since and not self.stuck:
            self.stuck = True
            self.task.cancel()

    async def wait(self) -> None:
        """Wait for `wake`."""
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake


@dataclass(slots=True)
class _Topic:
    latest: Frames | None = None
    clients: set[_Client] = field(default_factory=set)
    #: those with a name, in parts, so that nobody has to go through all of them at once
    named: tuple[set[_Client], ...] = field(default_factory=lambda: tuple(set() for _ in range(PARTS)))
    to_wake: deque[_Client] = field(default_factory=deque)
    waking: bool = False
    #: the last heartbeat, and what it was made of
    beat: tuple[bytes, int, bytes] = (b"", 0, b"")

    def heartbeat(self, instances: int) -> bytes:
        plain = self.latest.heartbeat if self.latest is not None else heartbeat(None)
        if self.beat[0] != plain or self.beat[1] != instances:
            self.beat = (plain, instances, counted(plain, instances))
        return self.beat[2]


class StreamHub:
    """Carries messages from any thread to every open stream of a topic.

    The latest message of a topic is kept: a new or returning client gets it at once, unless its Last-Event-ID names
    that very message. The id stands for the state: a message that repeats the latest id is not sent again.
    `chance()` returns a float in [0, 1) and spreads reconnects. While `vouched()` is false heartbeats are comments:
    connections live on, but nobody is told that what they hold is the present state. `instances()` is how many clients
    there are, which heartbeats say.
    """

    def __init__(
        self,
        *,
        limits: StreamLimits | None = None,
        chance: Callable[[], float] = random.random,
        vouched: Callable[[], bool] = lambda: True,
        instances: Callable[[], int] = lambda: 0,
    ) -> None:
        self._limits = limits or StreamLimits()
        self._chance = chance
        self._vouched = vouched
        self._instances = instances
        self._topics: dict[str, _Topic] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._binding = threading.Lock()
        self._closing = False
        self._clients: set[_Client] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._pulse: asyncio.TimerHandle | None = None
        self._slots: tuple[set[_Client], ...] = tuple(set() for _ in range(_SLOTS))
        self._slot = self._entered = 0
        self._delivered = self._dropped = self._refused = 0

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which loop the streams run on; what was published before is kept for their clients."""
        with self._binding:
            self._loop = loop

    def publish(self, topic: str, event_id: str, event: str, data: bytes, *, quiet: bool = False) -> None:
        """Make this the latest message of `topic` and tell its clients; callable from any thread, returns at once.

        Of several calls for one topic the last one counts, whatever its id. `data` is UTF-8 text; line ends in it
        arrive as line feeds. The heartbeats of a `quiet` one are comments. Raises ValueError for an id or event of more
        than one line and for data above the limit.
        """
        limit = self._limits.message_bytes
        if len(data) > limit:
            raise ValueError(f"data has {len(data)} bytes, the limit is {limit}: publish a pointer to it instead")
        message = encode(event_id, event, data, quiet=quiet)
        with self._binding:
            loop = self._loop
            if loop is None:
                self._topics.setdefault(topic, _Topic()).latest = message
                return
        try:
            loop.call_soon_threadsafe(self._take, topic, message)
        except RuntimeError:  # the loop has ended, and every client with it
            return

    async def serve(
        self, topic: str, scope: Scope, receive: Receive, send: Send, opening: Opening | None = None
    ) -> None:
        """Answer one GET request with the stream of `topic`; returns when the stream has ended."""
        if self._closing or len(self._clients) >= self._limits.streams:
            self._refused += 1
            await send_problem(scope, send, _CLOSING if self._closing else _FULL)
            return
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("serve runs in a task of an event loop")
        state = self._topics.setdefault(topic, _Topic())
        opening = opening or Opening()
        client = _Client(header(scope, b"last-event-id"), opening.name, task)
        watcher = asyncio.ensure_future(_watch(receive, client))
        self._enter(state, client)
        try:
            await self._stream(state, client, send, opening)
        except asyncio.CancelledError:
            if not client.stuck:
                raise
            self._dropped += 1
        except (OSError, RuntimeError):  # the connection broke under a write
            pass
        finally:
            watcher.cancel()
            self._leave(state, client)

    async def close_all(self, within_s: float = 1.0) -> None:
        """End every stream cleanly and refuse new ones; returns when they have ended or `within_s` has passed."""
        self._closing = True
        for client in self._clients:
            client.end()
        if self._clients:
            await asyncio.wait([client.task for client in self._clients], timeout=within_s)

    def stats(self) -> StreamStats:
        """The figures of this moment; callable from any thread."""
        clients = {name: len(topic.clients) for name, topic in list(self._topics.items()) if topic.clients}
        return StreamStats(clients, self._delivered, self._dropped, self._refused)

    def holders(self, topic: str, part: int) -> list[tuple[str, int]]:
        """Who holds a stream of `topic`, by name, and the number of what they were sent last; from any thread.

        `part` is 0 to PARTS - 1: each names some of them, all parts together everybody.
        """
        state = self._topics.get(topic)
        clients = tuple(state.named[part]) if state is not None else ()
        return [(c.name, int(c.last_id)) for c in clients if c.last_id is not None and c.last_id.isdecimal()]

    async def _stream(self, topic: _Topic, client: _Client, send: Send, opening: Opening) -> None:
        now = asyncio.get_running_loop().time
        until = now() + self._limits.age_s * (0.9 + 0.2 * self._chance())
        start: Message = {"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *opening.headers]}
        await self._write(client, send, start)
        await self._frame(client, send, self._first(topic, client, opening.retry_ms))
        while not client.ended and now() < until:
            latest = topic.latest
            if latest is not None and latest.event_id != client.last_id:
                client.last_id = latest.event_id
                await self._frame(client, send, latest.message)
                self._delivered += 1
            elif client.due:
                client.due = False
                await self._frame(client, send, self._heartbeat(topic))
            else:
                await client.wait()
        # A stream that has only reached its age is taken up again at once; the others come back in turn.
        await self._frame(client, send, b"" if client.ended else _AT_ONCE, more=False)

    def _heartbeat(self, topic: _Topic) -> bytes:
        return topic.heartbeat(self._instances()) if self._vouched() else COMMENT

    def _first(self, topic: _Topic, client: _Client, retry_ms: int) -> bytes:
        """Where the topic stands, so that a client knows at once, with the delay for its reconnects on top."""
        retry = b"retry: %d\n" % int(max(retry_ms, len(self._clients)) * (0.5 + self._chance()))
        if topic.latest is None or topic.latest.event_id == client.last_id:
            return retry + topic.heartbeat(self._instances())
        client.last_id = topic.latest.event_id
        self._delivered += 1
        return retry + topic.latest.message

    async def _frame(self, client: _Client, send: Send, frame: bytes, *, more: bool = True) -> None:
        await self._write(client, send, {"type": "http.response.body", "body": frame, "more_body": more})

    async def _write(self, client: _Client, send: Send, message: Message) -> None:
        client.writing_since = asyncio.get_running_loop().time()
        await send(message)
        client.writing_since = None

    def _enter(self, topic: _Topic, client: _Client) -> None:
        topic.clients.add(client)
        if client.name:
            topic.named[hash(client.name) % PARTS].add(client)
        self._clients.add(client)
        client.slot = self._entered % _SLOTS
        self._entered += 1
        self._slots[client.slot].add(client)
        if self._sweep is None:
            self._sweep_later()
            self._beat_later()

    def _leave(self, topic: _Topic, client: _Client) -> None:
        topic.clients.discard(client)
        topic.named[hash(client.name) % PARTS].discard(client)
        self._clients.discard(client)
        self._slots[client.slot].discard(client)
        if not self._clients and self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
            if self._pulse is not None:
                self._pulse.cancel()
                self._pulse = None

    def _sweep_later(self) -> None:
        self._sweep = asyncio.get_running_loop().call_later(self._limits.write_s / 4, self._drop_the_stuck)

    def _drop_the_stuck(self) -> None:
        # One sweep over all clients now and then: a timer around each write would double the price of a message.
        since = asyncio.get_running_loop().time() - self._limits.write_s
        for client in self._clients:
            client.drop_if_stuck(since)
        self._sweep_later()

    def _beat_later(self) -> None:
        self._pulse = asyncio.get_running_loop().call_later(self._limits.heartbeat_s / _SLOTS, self._beat)

    def _beat(self) -> None:
        # One slot after the other: heartbeats of many clients at a time cost a third of as many one by one, and those
        # of all clients at once would hold up everything else.
        self._slot = (self._slot + 1) % _SLOTS
        for client in self._slots[self._slot]:
            client.beat()
        self._beat_later()

    def _take(self, name: str, message: Frames) -> None:
        topic = self._topics.setdefault(name, _Topic())
        topic.latest = message
        topic.to_wake = deque(topic.clients)
        if not topic.waking:
            topic.waking = True
            self._wake_some(topic)

    def _wake_some(self, topic: _Topic) -> None:
        for _ in range(min(FAN_OUT, len(topic.to_wake))):
            topic.to_wake.popleft().wake()
        if topic.to_wake:
            asyncio.get_running_loop().call_later(_REST_S, self._wake_some, topic)
        else:
            topic.waking = False


async def _watch(receive: Receive, client: _Client) -> None:
    """Without somebody waiting for the disconnect, a client that has gone would stay for ever."""
    uploaded = 0
    try:
        while uploaded <= _MAX_UPLOAD:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            uploaded += len(message.get("body", b""))
    finally:
        client.end()
