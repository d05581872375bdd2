"""The sockets of a manager: accepted, served, and looked after until they are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from controller.emitters.connection import SocketConnection
from controller.emitters.endings import (
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
    Ending,
    SocketEndedError,
    of_asgi_disconnect,
)
from controller.emitters.limits import Limits
from controller.emitters.outcomes import DeliveryStatus
from controller.emitters.registry import (
    ConnectionHealth,
    ConnectionLimitError,
    ConnectionNameError,
    ConnectionRegistry,
)
from controller.emitters.sockets import AcceptedSocket, EventSocket, event_socket
from controller.emitters.sweeper import Sweeper

__all__ = ["MessageHandler", "SocketService"]

#: Gets every message of a client that is not an acknowledgement.
MessageHandler = Callable[[str | bytes], Awaitable[None]]


class SocketService:
    """The half of a manager that has to do with sockets; see `UnifiedWebSocketManager`."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._connections = ConnectionRegistry(limits, clock)
        self._sweeper = Sweeper(limits.sweep_interval, clock)
        self._closing = False

    async def add_connection(
        self, user_id: str, websocket: AcceptedSocket, *, connection_id: str | None = None, thread_id: str | None = None
    ) -> str:
        """Register an accepted socket whose messages the caller reads itself; pass them to `receive`.

        See `serve_connection`, which is simpler and notices more. Returns the connection's id: `connection_id`, unless
        another user has one of that name.

        Raises:
            TypeError: it is no socket of `websockets` or Starlette, and no `EventSocket`.
            ValueError: `user_id` is blank, or `connection_id` is longer than 256 characters.
            ConnectionLimitError: the user has too many connections, or the manager is closing.
        """
        connection = self._register(user_id, event_socket(websocket), connection_id)
        connection.thread_id = thread_id
        return connection.connection_id

    async def remove_connection(self, connection_id: str, *, code: int | None = None) -> None:
        """Forget a connection. Unknown ids are no error.

        `code` is the close code that the caller's reader was told: what the connection held is settled by it, or waits
        for the user to come back. Without one the caller ends the connection: what it holds is interrupted at once,
        and the socket stays open.
        """
        connection = self._connections.get(connection_id)
        if connection is None:
            return
        if code is None:
            connection.finish(Ending(DeliveryStatus.INTERRUPTED, "the connection was removed"))
        else:
            connection.finish(of_asgi_disconnect({"code": code, "reason": ""}))
        await self._connections.forget(connection)

    def receive(self, connection_id: str, message: str | bytes) -> bool:
        """Hand over a message of a socket added with `add_connection`. True when it was an acknowledgement."""
        connection = self._connections.get(connection_id)
        return connection is not None and connection.receive(message)

    async def serve_connection(  # noqa: PLR0913 -- the socket, and optional parts by keyword
        self,
        user_id: str,
        websocket: AcceptedSocket,
        *,
        connection_id: str | None = None,
        thread_id: str | None = None,
        variant: str | None = None,
        acks: bool = False,
        on_message: MessageHandler | None = None,
    ) -> None:
        """The whole life of one accepted socket: the body of a handler. Returns when the socket is closed.

        A user with too many connections is closed with 1013, a client whose name for its connection is too long with
        1008.

        Args:
            user_id: the authenticated user; nothing that the client sends changes it.
            websocket: an accepted socket of `websockets`, of Starlette or FastAPI, or an `EventSocket`.
            connection_id: the client's own name for this connection, if it has one. A connection that comes back under
                it gets what was not proved on the lost one, and takes the place of one that has not noticed its end.
            thread_id: kept with the connection for your own use; no part of routing.
            variant: the arm that this session was opened for, where clients speak one variant per session. On a
                rollback such sessions are asked to reconnect (`SessionMigration`).
            acks: the client is known to acknowledge events, as the browser module does. Otherwise that is noticed from
                its first acknowledgement on.
            on_message: takes the client's messages other than acknowledgements, one at a time. Hand long work to a
                task: a socket that is not read cannot prove receipt either.

        Raises:
            TypeError: it is no socket of `websockets` or Starlette, and no `EventSocket`.
            ValueError: `user_id` is blank.
        """
        socket = event_socket(websocket)
        try:
            connection = self._register(user_id, socket, connection_id)
        except (ConnectionLimitError, ConnectionNameError) as refusal:
            code = TRY_AGAIN_LATER if isinstance(refusal, ConnectionLimitError) else POLICY_VIOLATION
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.close_timeout):
                    await socket.close(code, str(refusal))
            return
        connection.thread_id, connection.variant, connection.acknowledges = thread_id, variant, acks
        try:
            while True:
                message = await socket.receive()
                if not connection.receive(message) and on_message is not None:
                    await on_message(message)
        except SocketEndedError as ended:
            connection.finish(ended.ending)
        finally:
            connection.finish(Ending(DeliveryStatus.INTERRUPTED, "the connection's handler ended"), comes_back=True)
            await self._connections.forget(connection)

    @property
    def closing(self) -> bool:
        """Whether `drain` or `aclose` has begun: no event is taken any more."""
        return self._closing

    @property
    def connections(self) -> list[SocketConnection]:
        """All live connections."""
        return list(self._connections)

    @property
    def parked(self) -> int:
        """Events that wait for users to come back."""
        return len(self._connections.parking)

    def is_connection_active(self, user_id: str) -> bool:
        """Whether the user has an open socket."""
        return bool(self._connections.open_ones(user_id))

    def get_user_connections(self, user_id: str) -> list[str]:
        """The ids of the user's open connections, oldest first."""
        return [held.connection_id for held in self._connections.open_ones(user_id)]

    def get_connection_health(self, user_id: str) -> ConnectionHealth:
        """Figures of the user's connections at this moment."""
        return self._connections.health(user_id)

    def move_away(self, connection: SocketConnection, code: int, reason: str) -> None:
        """Close a connection whose client is to connect again at once; what it holds waits for that."""
        connection.finish(Ending(DeliveryStatus.INTERRUPTED, reason), comes_back=True)
        connection.close_soon(code, reason)

    def _register(self, user_id: str, socket: EventSocket, connection_id: str | None) -> SocketConnection:
        if self.closing:
            raise ConnectionLimitError("the server is closing: connect again")
        connection = self._connections.register(user_id, socket, connection_id or None)
        self._sweeper.ensure_running()
        return connection
