"""A WebSocket protocol for uvicorn that can ping on behalf of the application, so that reading is proved by pongs.

    uvicorn app:app --ws controller.emitters.uvicorn_ws:ProvingProtocol

ASGI gives an application no way to ping. This is uvicorn's own protocol on `websockets`, with an extension in the scope
that `AsgiSocket` finds. Everything else is as before. It needs uvicorn, which is no dependency of this package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from controller.emitters.asgi import PROOF_EXTENSION

__all__ = ["ProvingProtocol"]

if not hasattr(WebSocketsSansIOProtocol, "handle_pong"):  # then no pong would ever be heard, and every event time out
    raise ImportError("this uvicorn does not tell its protocol of pongs: a newer one does (0.54 is tested)")


class ProvingProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol with the extension `canary.proof`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pings_sent = 0
        #: Pings without a pong, oldest first. A pong answers all pings before it as well (RFC 6455, 5.5.3).
        self._awaited: dict[bytes, Callable[[], None]] = {}

    def ping(self, on_pong: Callable[[], None]) -> None:
        """Ping the peer; calls back once the pong has come."""
        if self.conn.state is not State.OPEN or self.transport.is_closing():
            return
        self._pings_sent += 1
        ping = self._pings_sent.to_bytes(8, "big")  # uvicorn's own pings have four bytes
        self._awaited[ping] = on_pong
        self.conn.send_ping(ping)
        self.transport.write(b"".join(self.conn.data_to_send()))

    def abort(self) -> None:
        """Cut the connection without a handshake."""
        self.transport.abort()

    def handle_connect(self, event: Request) -> None:
        """Offer the extension to the application, whose task has not run yet."""
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][PROOF_EXTENSION] = self

    def handle_pong(self, event: Frame) -> None:
        """Find out which pings it answers."""
        answered = bytes(event.data)
        if answered not in self._awaited:
            super().handle_pong(event)
            return
        for ping in list(self._awaited):
            self._awaited.pop(ping)()
            if ping == answered:
                return

    def connection_lost(self, exc: Exception | None) -> None:
        """No pong will come any more."""
        self._awaited.clear()
        super().connection_lost(exc)
