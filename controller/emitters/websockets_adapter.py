"""How the `websockets` library gives what a connection needs of a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from time import monotonic
from typing import Any, Final, cast

import msgspec
from websockets.asyncio.connection import Connection as WebSocket
from websockets.exceptions import ConnectionClosed
from websockets.protocol import Side, State

from controller.emitters.endings import OUR_STOP_CODES, Ending, SocketEndedError, of_close_frames

__all__ = ["WebsocketsSocket"]

#: What RFC 6455 (5.2) makes of a server's text frame and ping: final, unmasked, the length in 7, 16 or 64 bits.
_TEXT_7: Final = 0x81_00
_TEXT_16: Final = 0x81_7E << 16
_TEXT_64: Final = 0x81_7F << 64
_PING_OF_8: Final = b"\x89\x08"
#: And of a client's pong that answers such a ping: final, masked.
_PONG_OF_8: Final = b"\x8a\x88"
_PONG_LENGTH: Final = 14


class WebsocketsSocket:
    """A connection of `websockets.asyncio`, of a server or of a client.

    A batch of frames and its ping leave in one write to the transport: with one call of `send` per frame, the calls
    alone cost more than everything else.
    """

    __slots__ = ("_pings", "_plain", "_protocol", "_websocket")

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._protocol = websocket.protocol
        self._pings = 0
        #: Whether a frame is a head and the payload as it is: no mask, no compression, nobody who wants it in a log.
        self._plain = self._protocol.side is Side.SERVER and not (self._protocol.extensions or self._protocol.debug)
        if self._plain:
            listen_for_pongs(websocket)

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
        self._pings += 1
        ping = self._pings.to_bytes(8, "big")  # the library's own pings have four bytes
        websocket.pending_pings[ping] = (cast("asyncio.Future[float]", _Proof(on_read)), monotonic())
        websocket.transport.write(self._wire(frames, ping))
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

    def _wire(self, frames: Sequence[bytes], ping: bytes) -> bytes:
        if self._plain:
            if len(frames) == 1:
                return b"".join((_head(len(frames[0])), frames[0], _PING_OF_8, ping))
            texts = [_head(len(frame)) + frame for frame in frames]
            return b"".join((*texts, _PING_OF_8, ping))
        for frame in frames:
            self._protocol.send_text(frame)
        self._protocol.send_ping(ping)
        return b"".join(self._protocol.data_to_send())

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


class _Proof(msgspec.Struct, eq=False):
    """What stands in the library's list of pings in place of a future: it tells at once, without a turn of the loop."""

    on_read: Callable[[], None]
    is_done: bool = False

    def done(self) -> bool:
        return self.is_done

    def set_result(self, _latency: float) -> None:
        self.is_done = True
        self.on_read()

    def set_exception(self, _error: BaseException) -> None:
        self.is_done = True  # the connection is over, and its end settles all

    def cancel(self) -> None:
        self.is_done = True


class PongListener(asyncio.Protocol):
    """Stands before the library's own protocol and takes pongs that come alone, which is how most of them come.

    Reading one by the library's parser costs more than half of what proving an event costs a server with many quiet
    connections. Everything else is passed on. A client whose message happens to be cut just where a valid pong could
    begin would have to hit the number of a ping under way with its random mask (one in 2^80).
    """

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._protocol = websocket.protocol
        self._pings = websocket.pending_pings

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        protocol, pings = self._protocol, self._pings
        if len(data) == _PONG_LENGTH and data.startswith(_PONG_OF_8):
            mask = data[2:6]
            ping = (int.from_bytes(data[6:], "big") ^ int.from_bytes(mask + mask, "big")).to_bytes(8, "big")
            # Once a close frame has come or gone, the library knows what still counts.
            if ping in pings and protocol.close_sent is None and protocol.close_rcvd is None:
                pong = cast("_Proof | asyncio.Future[float]", pings[ping][0])
                if len(pings) == 1 and isinstance(pong, _Proof):
                    del pings[ping]
                    pong.on_read()
                else:  # it answers the pings before it as well; and who pinged by himself is told how long it took
                    self._websocket.acknowledge_pings(ping)
                return
        self._websocket.data_received(data)

    def eof_received(self) -> None:
        """The peer sends no more."""
        self._websocket.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The TCP connection is gone."""
        self._websocket.connection_lost(exc)

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self._websocket.pause_writing()

    def resume_writing(self) -> None:
        """It has room again."""
        self._websocket.resume_writing()


def listen_for_pongs(websocket: WebSocket) -> None:
    """Put a listener before the library's protocol, unless somebody else stands there."""
    if websocket.transport.get_protocol() is websocket:
        websocket.transport.set_protocol(PongListener(websocket))


def _head(length: int) -> bytes:
    if length < 126:
        return (_TEXT_7 | length).to_bytes(2, "big")
    if length < 65_536:
        return (_TEXT_16 | length).to_bytes(4, "big")
    return (_TEXT_64 | length).to_bytes(10, "big")


def _when_read(on_read: Callable[[], None], pong: asyncio.Future[float]) -> None:
    if not pong.cancelled() and pong.exception() is None:  # otherwise the connection is over, and its end settles all
        on_read()
