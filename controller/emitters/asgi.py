"""Sockets of Starlette and FastAPI, on whichever ASGI server.

ASGI has no ping: what proves receipt there is the client's acknowledgement (the browser module sends them by itself).
Where the server offers the extension `canary.proof`, as uvicorn does with `controller.emitters.uvicorn_ws`, clients
without any code of their own are proved to have read, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from controller.emitters.endings import OUR_STOP_CODES, Ending, SocketEndedError, of_asgi_disconnect
from controller.emitters.outcomes import DeliveryStatus

__all__ = ["PROOF_EXTENSION", "AsgiSocket", "ServerSocket", "StarletteWebSocket"]

#: Where a server that can do more than ASGI puts a `ServerSocket` into the scope's extensions.
PROOF_EXTENSION: Final = "canary.proof"
#: How long the server may take to say why a socket cannot be written to.
_LAST_WORDS_S: Final = 1.0
_OUR_OWN: Final = Ending(DeliveryStatus.INTERRUPTED, "this process closed the connection")


class ServerSocket(Protocol):
    """What ASGI leaves out of a WebSocket."""

    def ping(self, on_pong: Callable[[], None]) -> None:
        """Ping the peer after everything that was sent before; calls back once the pong has come."""

    def abort(self) -> None:
        """Cut the connection without a handshake."""


class StarletteWebSocket(Protocol):
    """What is used of an accepted `starlette.websockets.WebSocket` (which is FastAPI's, too)."""

    scope: MutableMapping[str, Any]

    async def receive(self) -> MutableMapping[str, Any]:
        """The next ASGI message."""

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send an ASGI message."""

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Send a close frame."""


class AsgiSocket:
    """An accepted socket of Starlette or FastAPI."""

    __slots__ = ("_closing", "_ended", "_ending", "_reader", "_server", "_websocket")

    def __init__(self, websocket: StarletteWebSocket) -> None:
        self._websocket = websocket
        extensions = websocket.scope.get("extensions") or {}
        self._server: ServerSocket | None = extensions.get(PROOF_EXTENSION)
        self._ending: Ending | None = None
        self._ended = asyncio.Event()
        #: The code we have closed it with.
        self._closing: int | None = None
        self._reader: asyncio.Task[Any] | None = None

    @property
    def is_open(self) -> bool:
        """Whether frames can still be written."""
        return self._ending is None and self._closing is None

    @property
    def is_gone(self) -> bool:
        """Whether the end is known."""
        return self._ending is not None

    @property
    def closed_by_us(self) -> bool:
        """Whether our own process has begun to close it in order to stop."""
        if self._closing is not None:
            return self._closing in OUR_STOP_CODES
        return self._ending is not None and self._ending.status is DeliveryStatus.INTERRUPTED

    def write(self, frames: Sequence[bytes], on_read: Callable[[], None]) -> Coroutine[Any, Any, None] | None:
        """Write the frames, and a ping where the server has one."""
        return self._write(frames, on_read)

    async def receive(self) -> str | bytes:
        """The next message of the peer."""
        if self._ending is not None:
            raise SocketEndedError(self._ending)
        self._reader = asyncio.current_task()
        try:
            message = await self._websocket.receive()
        except asyncio.CancelledError:
            if self._ending is None or self._reader is None:
                raise
            self._reader.uncancel()  # it was `abort` that ended the wait
            raise SocketEndedError(self._ending) from None
        finally:
            self._reader = None
        if message["type"] == "websocket.receive":
            text: str | None = message.get("text")
            return text if text is not None else bytes(message.get("bytes") or b"")
        raise SocketEndedError(self._end(of_asgi_disconnect(message)))

    def ending(self) -> Ending | None:
        """How it ends, as soon as that is known."""
        return self._ending

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame; the server does the rest of the handshake, whose end is waited for if somebody reads."""
        if self._ending is None and self._closing is None:
            self._closing = code
            with suppress(OSError, RuntimeError):  # it has ended meanwhile, which was the goal
                await self._websocket.close(code, reason)
        if self._reader is not None:
            await self._ended.wait()

    def abort(self) -> None:
        """Cut it where the server can. Otherwise it cuts the connection once the application's call has returned."""
        if self._ending is None:
            self._end(Ending(DeliveryStatus.CLOSED, "the connection was given up"))
        if self._server is not None:
            self._server.abort()
        if self._reader is not None:
            self._reader.cancel()

    def _end(self, ending: Ending) -> Ending:
        if self._ending is None:
            self._ending = _OUR_OWN if self._closing in OUR_STOP_CODES else ending
            self._ended.set()
        return self._ending

    async def _write(self, frames: Sequence[bytes], on_read: Callable[[], None]) -> None:
        try:
            for frame in frames:
                await self._websocket.send({"type": "websocket.send", "text": frame.decode()})
        except Exception as error:  # what a server raises here differs, and says nothing about the reason
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    await self._ended.wait()  # the reader is told it
            ending = self._ending or Ending(DeliveryStatus.CLOSED, f"sending failed: {error!r}")
            raise SocketEndedError(ending) from error
        if self._server is not None:
            self._server.ping(on_read)
