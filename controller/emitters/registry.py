"""Which sockets belong to which user."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from websockets.asyncio.connection import Connection as WebSocket

from controller.emitters.connection import ConnectionLimits, SocketConnection
from controller.emitters.types import new_id

__all__ = ["ConnectionHealth", "ConnectionLimitError", "ConnectionRegistry"]


class ConnectionLimitError(RuntimeError):
    """The user has as many connections as one user may have, or the manager is closing: try again later."""


class ConnectionHealth(msgspec.Struct, frozen=True):
    """How the connections of one user are doing at this moment."""

    user_id: str
    has_active_connections: bool
    connections: int
    queued: int
    in_flight: int
    timeouts_in_a_row: int
    ignored_acks: int


class ConnectionRegistry:
    """Connections by user and by id. One that has finished stays known as `ended` until its tasks are gone."""

    def __init__(self, limits: ConnectionLimits, max_per_user: int) -> None:
        if max_per_user < 1:
            raise ValueError(f"max_connections_per_user must be at least 1, not {max_per_user}")
        self._limits = limits
        self._max_per_user = max_per_user
        self._by_user: dict[str, dict[str, SocketConnection]] = {}
        self._by_id: dict[str, SocketConnection] = {}
        self._ended: set[SocketConnection] = set()

    def __bool__(self) -> bool:
        return bool(self._by_id or self._ended)

    def __iter__(self) -> Iterator[SocketConnection]:
        """All live connections; safe against changes while iterating."""
        return iter(list(self._by_id.values()))

    def get(self, connection_id: str) -> SocketConnection | None:
        """The live connection of this id."""
        return self._by_id.get(connection_id)

    def of_user(self, user_id: str) -> list[SocketConnection]:
        """The user's live connections, oldest first."""
        return list(self._by_user.get(user_id, {}).values())

    def register(
        self, user_id: str, websocket: WebSocket, connection_id: str | None, thread_id: str | None
    ) -> SocketConnection:
        """Make and start a connection.

        Raises:
            ValueError: `user_id` is blank or `connection_id` is in use.
            ConnectionLimitError: the user has too many connections.
        """
        if not user_id.strip():
            raise ValueError(f"user_id must be a non-empty string, not {user_id!r}: pass the authenticated user")
        if connection_id is not None and connection_id in self._by_id:
            raise ValueError(f"connection_id {connection_id!r} is in use: leave it out to have one made")
        if len(self._by_user.get(user_id, ())) >= self._max_per_user:
            raise ConnectionLimitError(f"more than {self._max_per_user} connections of one user: close one first")
        connection = SocketConnection(
            connection_id or new_id(),
            user_id,
            websocket,
            thread_id=thread_id,
            limits=self._limits,
            on_finished=self._unregister,
        )
        self._by_user.setdefault(user_id, {})[connection.connection_id] = connection
        self._by_id[connection.connection_id] = connection
        connection.start()
        return connection

    def health(self, user_id: str) -> ConnectionHealth:
        """Figures of one user's connections."""
        held = self.of_user(user_id)
        return ConnectionHealth(
            user_id=user_id,
            has_active_connections=any(connection.is_open for connection in held),
            connections=len(held),
            queued=sum(connection.queued for connection in held),
            in_flight=sum(connection.in_flight for connection in held),
            timeouts_in_a_row=max((connection.timeouts_in_a_row for connection in held), default=0),
            ignored_acks=sum(connection.ignored_acks for connection in held),
        )

    def sweep(self, now: float) -> None:
        """Notice dead sockets, expire what is overdue, forget what is at rest."""
        for connection in self:
            connection.notice_end()
            connection.expire(now)
        self._ended = {connection for connection in self._ended if not connection.at_rest}

    async def forget(self, connection: SocketConnection) -> None:
        """Wait for the end of a finished connection's tasks."""
        await connection.stopped()
        self._ended.discard(connection)

    async def forget_all(self) -> None:
        """Wait for the end of all finished connections."""
        for connection in list(self._ended):
            await self.forget(connection)

    def _unregister(self, connection: SocketConnection) -> None:
        self._by_id.pop(connection.connection_id, None)
        held = self._by_user.get(connection.user_id)
        if held is not None:
            held.pop(connection.connection_id, None)
            if not held:
                del self._by_user[connection.user_id]
        self._ended.add(connection)
