"""What a connection needs of a socket, and how the `websockets` library gives it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

from websockets.asyncio.connection import Connection as WebSocket
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from controller.emitters.asgi import AsgiSocket, StarletteWebSocket
from controller.emitters.endings import OUR_STOP_CODES, Ending, SocketEndedError, of_close_frames

__all__ = ["AcceptedSocket", "EventSocket", "WebsocketsSocket", "event_socket"]


@runtime_checkable
class EventSocket(Protocol):
    """An accepted WebSocket. Implement it to serve sockets of a server that has no adapter here."""

    @property
    def is_open(self) -> bool:
        """Whether frames can still be written."""

    @property
    def is_gone(self) -> bool:
        """Whether nothing of the connection is left, so that there is nothing to close."""

    @property
    def closed_by_us(self) -> bool:
        """Whether our own process has begun to close it in order to stop."""

    def write(self, frames: Sequence[bytes], on_read: Callable[[], None]) -> Coroutine[Any, Any, None] | None:
        """Write text frames in order, and call `on_read` when the peer has proved to have read all of them.

        A socket without any means of proof never calls it; the peer's acknowledgements remain. Returns what to wait
        for before the next write, or None if the next one may follow at once.

        Raises:
            SocketEndedError: here or in what is returned: the socket has ended.
        """

    async def receive(self) -> str | bytes:
        """The next message of the peer.

        Raises:
            SocketEndedError: the socket has ended.
        """

    def ending(self) -> Ending | None:
        """How it ends, as soon as its closing has begun, by whichever side; None while it is open.

        A reader hears of the end only when the TCP connection is gone, and a peer that goes to sleep after its close
        frame keeps that up for long. No proof can follow a close frame (RFC 6455, 5.5.1), so nothing is gained by
        waiting.
        """

    async def close(self, code: int, reason: str) -> None:
        """The closing handshake; waits for its end."""

    def abort(self) -> None:
        """Cut the connection without a handshake."""


#: What a manager serves.
AcceptedSocket = WebSocket | StarletteWebSocket | EventSocket


def event_socket(accepted: AcceptedSocket) -> EventSocket:
    """The adapter for an accepted socket of `websockets` or of Starlette/FastAPI; an `EventSocket` is its own.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(accepted, WebSocket):
        return WebsocketsSocket(accepted)
    if isinstance(accepted, EventSocket):
        return accepted
    if hasattr(accepted, "scope") and hasattr(accepted, "receive"):
        return AsgiSocket(accepted)
    raise TypeError(
        f"{type(accepted).__name__} is no accepted socket of websockets.asyncio or of Starlette: pass one of these, "
        "or an EventSocket of your own"
    )


class WebsocketsSocket:
    """A connection of `websockets.asyncio`, of a server or of a client.

    A batch of frames and its ping leave in one write to the transport: with one call of `send` per frame, the calls
    alone cost more than everything else.
    """

    __slots__ = ("_pings", "_protocol", "_websocket")

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._protocol = websocket.protocol
        self._pings = 0

    @property
    def is_open(self) -> bool:
        """Whether frames can still be written."""
        return self._protocol.state is State.OPEN

    @property
    def is_gone(self) -> bool:
        """Whether the TCP connection is gone."""
        return self._protocol.state is State.CLOSED

    @property
    def closed_by_us(self) -> bool:
        """Whether our own process has begun to close it in order to stop."""
        protocol = self._protocol
        sent = protocol.close_sent
        return sent is not None and not protocol.close_rcvd_then_sent and sent.code in OUR_STOP_CODES

    def write(self, frames: Sequence[bytes], on_read: Callable[[], None]) -> Coroutine[Any, Any, None] | None:
        """Write the frames and a ping; its pong proves that the peer has read everything before it."""
        websocket, protocol = self._websocket, self._protocol
        if protocol.state is not State.OPEN:
            raise SocketEndedError(self._ended())
        if websocket.send_in_progress is not None:  # a fragmented message of the application, not to be torn apart
            return self._write_in_turn(frames, on_read)
        for frame in frames:
            protocol.send_text(frame)
        self._pings += 1
        ping = self._pings.to_bytes(8, "big")  # the library's own pings have four bytes
        pong = websocket.loop.create_future()
        pong.add_done_callback(partial(_when_read, on_read))
        websocket.pending_pings[ping] = (pong, websocket.loop.time())
        protocol.send_ping(ping)
        websocket.transport.write(b"".join(protocol.data_to_send()))
        return websocket.drain() if websocket.paused else None

    async def receive(self) -> str | bytes:
        """The next message of the peer."""
        try:
            return await self._websocket.recv()
        except ConnectionClosed as closed:
            raise SocketEndedError(of_close_frames(closed.rcvd, closed.sent, closed.rcvd_then_sent)) from closed

    def ending(self) -> Ending | None:
        """How it ends, as soon as its closing has begun."""
        return None if self.is_open else self._ended()

    async def close(self, code: int, reason: str) -> None:
        """The closing handshake."""
        await self._websocket.close(code, reason)

    def abort(self) -> None:
        """Cut the connection without a handshake."""
        self._websocket.transport.abort()

    def _ended(self) -> Ending:
        protocol = self._protocol
        return of_close_frames(protocol.close_rcvd, protocol.close_sent, protocol.close_rcvd_then_sent)

    async def _write_in_turn(self, frames: Sequence[bytes], on_read: Callable[[], None]) -> None:
        """The same by the library's own calls, which wait for their turn."""
        try:
            for frame in frames:
                await self._websocket.send(frame, text=True)
            pong = await self._websocket.ping()
        except ConnectionClosed as closed:
            raise SocketEndedError(of_close_frames(closed.rcvd, closed.sent, closed.rcvd_then_sent)) from closed
        asyncio.ensure_future(pong).add_done_callback(partial(_when_read, on_read))


def _when_read(on_read: Callable[[], None], pong: asyncio.Future[float]) -> None:
    if not pong.cancelled() and pong.exception() is None:  # otherwise the connection is over, and its end settles all
        on_read()
