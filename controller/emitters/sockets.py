"""What a connection needs of a socket, and which adapter gives it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, runtime_checkable

from websockets.asyncio.connection import Connection as WebSocket

from controller.emitters.asgi import AsgiSocket, StarletteWebSocket
from controller.emitters.endings import Ending
from controller.emitters.websockets_adapter import WebsocketsSocket

__all__ = ["AcceptedSocket", "EventSocket", "event_socket"]


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
