"""Which sockets belong to which user, and what becomes of events when one is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from controller.emitters.connection import SocketConnection
from controller.emitters.delivery import Delivery
from controller.emitters.endings import REPLACED, Ending
from controller.emitters.limits import Limits
from controller.emitters.outcomes import DeliveryStatus
from controller.emitters.parking import Parking
from controller.emitters.sockets import EventSocket
from controller.emitters.types import new_id

__all__ = ["ConnectionHealth", "ConnectionLimitError", "ConnectionNameError", "ConnectionRegistry"]

#: Idle connections whose end is looked for in one sweep. Their readers hear of it first, where they have readers.
_LOOKED_AT: Final = 256
_LONGEST_NAME: Final = 256
_NONE: Final[tuple[SocketConnection, ...]] = ()
_REPLACED_WHY: Final = "a newer connection has come in its place"


class ConnectionLimitError(RuntimeError):
    """The user has as many connections as one user may have, or the manager is closing: try again later."""


class ConnectionNameError(ValueError):
    """A client's own name for its connection cannot be used: it is too long."""


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
    """Connections by user and by id. One that has finished stays known as ended until its tasks are gone."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.parking = Parking(limits)
        self._limits = limits
        self._clock = clock
        self._by_user: dict[str, dict[str, SocketConnection]] = {}
        self._by_id: dict[str, SocketConnection] = {}
        self._working: set[SocketConnection] = set()
        self._ended: set[SocketConnection] = set()
        self._to_flush: list[SocketConnection] = []
        self._round: Iterator[str] = iter(())
        self._parks = True

    def __bool__(self) -> bool:
        return bool(self._by_id or self._ended or self.parking)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[SocketConnection]:
        """All live connections; safe against changes while iterating."""
        return iter(list(self._by_id.values()))

    def get(self, connection_id: str) -> SocketConnection | None:
        """The live connection of this id."""
        return self._by_id.get(connection_id)

    def of_user(self, user_id: str) -> list[SocketConnection]:
        """The user's live connections, oldest first."""
        return list(self._by_user.get(user_id, {}).values())

    def targets(self, user_id: str, connection_id: str | None) -> Iterable[SocketConnection]:
        """Who is to be offered an event of the user: every live connection, or the named one alone if it is open.

        One that is closing and has not been noticed yet is among them: its write will fail, and the end of it is the
        outcome. To look at each socket first costs more than the rest of the offer.
        """
        held = self._by_user.get(user_id)
        if held is None:
            return _NONE
        if connection_id is not None and (wanted := held.get(connection_id)) is not None and wanted.is_open:
            return (wanted,)
        return held.values()

    def open_ones(self, user_id: str) -> list[SocketConnection]:
        """The user's connections that events can be written to, oldest first."""
        return [connection for connection in self._by_user.get(user_id, {}).values() if connection.is_open]

    def register(self, user_id: str, socket: EventSocket, name: str | None) -> SocketConnection:
        """Make a connection; it is sent first what earlier ones of the user had not proved.

        A live connection of the same user and name is replaced: what it holds goes to the new one. Names are a user's
        own: what another user calls a connection does not matter.

        Raises:
            ValueError: `user_id` is blank.
            ConnectionNameError: `name` is too long.
            ConnectionLimitError: the user has too many connections.
        """
        if not user_id.strip():
            raise ValueError(f"user_id must be a non-empty string, not {user_id!r}: pass the authenticated user")
        if name is not None and len(name) > _LONGEST_NAME:
            raise ConnectionNameError(f"connection_id has {len(name)} characters, more than {_LONGEST_NAME}")
        older = self._by_user.get(user_id, {}).get(name) if name is not None else None
        most = self._limits.max_connections_per_user
        if older is None and len(self._by_user.get(user_id, ())) >= most:
            raise ConnectionLimitError(f"more than {most} connections of one user: close one first")
        if older is not None:
            older.finish(Ending(DeliveryStatus.CLOSED, _REPLACED_WHY), comes_back=True)
            older.close_soon(REPLACED, _REPLACED_WHY)
        taken = name is None or name in self._by_id
        connection = SocketConnection(
            new_id() if taken else str(name), user_id, socket, limits=self._limits, keeper=self, clock=self._clock
        )
        connection.name = name
        self._by_user.setdefault(user_id, {})[connection.key] = connection
        self._by_id[connection.connection_id] = connection
        self._replay(connection)
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
            ignored_acks=sum(connection.acks.ignored for connection in held),
        )

    def sweep(self, now: float) -> None:
        """Expire what is overdue, notice dead sockets, forget what is at rest."""
        for connection in list(self._working):
            if not connection.idle:
                connection.notice_end()
                connection.expire(now)
            if connection.idle:
                self._working.discard(connection)
                connection.watched = False
        self._look_at_idle_ones()
        self._ended = {connection for connection in self._ended if not connection.at_rest}
        self.parking.sweep(now)

    def stop_parking(self, reason: str) -> None:
        """The process ends: nobody can come back from now on."""
        self._parks = False
        self.parking.settle_all(Ending(DeliveryStatus.INTERRUPTED, reason))

    async def forget(self, connection: SocketConnection) -> None:
        """Wait for the end of a finished connection's tasks."""
        await connection.stopped()
        self._ended.discard(connection)

    async def forget_all(self) -> None:
        """Wait for the end of all finished connections."""
        for connection in list(self._ended):
            await self.forget(connection)

    # --- what connections tell --------------------------------------------------------------------------------------

    def working(self, connection: SocketConnection) -> None:
        """It is to be swept."""
        connection.watched = True
        self._working.add(connection)

    def flush_soon(self, connection: SocketConnection, loop: asyncio.AbstractEventLoop) -> None:
        """It has something to write. One callback of the loop serves all connections of a turn."""
        if not self._to_flush:
            loop.call_soon(self._flush)
        self._to_flush.append(connection)

    def finished(self, connection: SocketConnection, ending: Ending, held: list[Delivery], *, comes_back: bool) -> None:
        """It is over: what it held waits for its user, or is lost."""
        self._by_id.pop(connection.connection_id, None)
        self._working.discard(connection)
        siblings = self._by_user.get(connection.user_id)
        if siblings is not None:
            siblings.pop(connection.key, None)
            if not siblings:
                del self._by_user[connection.user_id]
        self._ended.add(connection)
        if comes_back and self._parks:
            named = connection.name is not None
            self.parking.park(connection.user_id, connection.key, ending, held, self._clock(), named=named)
        else:
            for delivery in held:
                delivery.lost(*ending)

    def _flush(self) -> None:
        due, self._to_flush = self._to_flush, []
        for connection in due:
            try:
                connection.flush()
            except Exception as error:  # noqa: BLE001 -- as for a callback of its own: it costs the others nothing
                why = {"message": "a connection could not be written to", "exception": error}
                asyncio.get_running_loop().call_exception_handler(why)

    def _replay(self, connection: SocketConnection) -> None:
        now = self._clock()
        user_id, key = connection.user_id, connection.key
        missed = self.parking.take(user_id, key, now, now + self._limits.delivery_timeout)
        if missed:
            connection.resume(missed)
        self.parking.handed_over(user_id, key)

    def _look_at_idle_ones(self) -> None:
        """Those that are read by the application itself may have ended unnoticed; a few are looked at each time."""
        some = list(islice(self._round, _LOOKED_AT))
        if len(some) < _LOOKED_AT:
            self._round = iter(list(self._by_id))
        for connection_id in some:
            connection = self._by_id.get(connection_id)
            if connection is not None:
                connection.notice_end()
