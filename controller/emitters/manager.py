"""The one place where events meet sockets, and the one place where delivery is measured, for every variant alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from websockets.asyncio.connection import Connection as WebSocket
from websockets.exceptions import ConnectionClosed

from controller.clock import Clock, system_clock
from controller.emitters.attempts import AttemptClaim, claim
from controller.emitters.connection import ConnectionLimits, SocketConnection, how_it_ended
from controller.emitters.delivery import Delivery
from controller.emitters.envelopes import Envelope, Event, UnsendableEventError, encode, iso_time, unified_envelope
from controller.emitters.outcomes import DeliveryAttempt, DeliveryStatus
from controller.emitters.receipts import EmitReceipt, OpenAttempt
from controller.emitters.recorder import DeliveryRecorder
from controller.emitters.registry import ConnectionHealth, ConnectionLimitError, ConnectionRegistry
from controller.emitters.sweeper import Sweep, Sweeper
from controller.emitters.types import EventData, new_id

__all__ = ["MessageHandler", "UnifiedWebSocketManager"]

#: Gets every message of a client that is not an acknowledgement.
MessageHandler = Callable[[str | bytes], Awaitable[None]]

_GOING_AWAY: Final = 1001
_TRY_AGAIN_LATER: Final = 1013


class UnifiedWebSocketManager:
    """Delivers events to all sockets of a user and settles each event once.

    An emit puts the event into the queue of each socket and returns; one writer task per socket sends up to 64 frames
    and a ping, and the pong (or an acknowledgement of the application) proves receipt. The event is delivered when any
    socket proves it and failed when all have failed. Everything is bounded, and a bound that is hit is an outcome.

    No task is started before the first connection or the first measured event; `aclose` leaves none behind. Use one
    manager in one event loop.

    Args:
        recorder: where attempts and outcomes go; one is made when not given, with `delivery_timeout` as its deadline.
        delivery_timeout: seconds a socket has to prove receipt.
        max_queue: events that wait to be written, per socket.
        max_inflight: events that wait for their proof, per socket.
        max_timeouts: unproved events in a row after which a socket is closed with 1013.
        max_connections_per_user: sockets one user may hold open.
        max_event_bytes: longest frame; the default is what websockets clients read at most.
        close_timeout: seconds for a closing handshake before the transport is cut.
        clock: wall clock for the timestamps on the wire, milliseconds since the Unix epoch.
    """

    def __init__(  # noqa: PLR0913 -- keyword-only limits, each with its default
        self,
        *,
        recorder: DeliveryRecorder | None = None,
        delivery_timeout: float = 5.0,
        max_queue: int = 256,
        max_inflight: int = 1_024,
        max_timeouts: int = 10,
        max_connections_per_user: int = 16,
        max_event_bytes: int = 1_048_576,
        close_timeout: float = 2.0,
        clock: Clock = system_clock,
    ) -> None:
        if delivery_timeout <= 0:
            raise ValueError(f"delivery_timeout must be more than 0 seconds, not {delivery_timeout}")
        self.recorder = recorder or DeliveryRecorder(delivery_deadline=delivery_timeout)
        self._timeout = delivery_timeout
        limits = ConnectionLimits(max_queue, max_inflight, max_timeouts, close_timeout)
        self._connections = ConnectionRegistry(limits, max_connections_per_user)
        self._max_event_bytes = max_event_bytes
        self._clock = clock
        self._closing = False
        self._sweeper = Sweeper(max(0.01, min(0.25, delivery_timeout / 8)), self.recorder.clock)
        self._sweeper.add(self._sweep)

    async def add_connection(
        self, user_id: str, websocket: WebSocket, *, connection_id: str | None = None, thread_id: str | None = None
    ) -> str:
        """Register an accepted socket whose messages the caller reads itself; pass them to `receive`.

        Returns the connection's id.

        Raises:
            ValueError: `user_id` is blank or `connection_id` is in use.
            ConnectionLimitError: the user has too many connections, or the manager is closing.
        """
        return self._register(user_id, websocket, connection_id, thread_id).connection_id

    async def remove_connection(self, connection_id: str) -> None:
        """Forget a connection; what it holds is interrupted, its socket stays open. Unknown ids are no error."""
        connection = self._connections.get(connection_id)
        if connection is not None:
            connection.finish(DeliveryStatus.INTERRUPTED, "the connection was removed")
            await self._connections.forget(connection)

    def receive(self, connection_id: str, message: str | bytes) -> bool:
        """Hand over a message of a socket added with `add_connection`. True when it was an acknowledgement."""
        connection = self._connections.get(connection_id)
        return connection is not None and connection.receive(message)

    async def serve_connection(
        self,
        user_id: str,
        websocket: WebSocket,
        *,
        connection_id: str | None = None,
        thread_id: str | None = None,
        on_message: MessageHandler | None = None,
    ) -> None:
        """The whole life of one accepted socket: the body of a `websockets.serve` handler. Returns when it is closed.

        `user_id` must be the authenticated user; nothing that the client sends changes it. Messages other than
        acknowledgements go to `on_message`, one at a time: hand long work to a task, because a socket that is not read
        cannot prove receipt either. A user with too many connections is closed with 1013.
        """
        try:
            connection = self._register(user_id, websocket, connection_id, thread_id)
        except ConnectionLimitError as refusal:
            await websocket.close(_TRY_AGAIN_LATER, str(refusal))
            return
        try:
            while True:
                message = await websocket.recv()
                if not connection.receive(message) and on_message is not None:
                    await on_message(message)
        except ConnectionClosed as closed:
            connection.finish(*how_it_ended(closed.rcvd, closed.sent, closed.rcvd_then_sent))
        finally:
            connection.finish(DeliveryStatus.INTERRUPTED, "the connection's handler ended")
            await self._connections.forget(connection)

    @property
    def closing(self) -> bool:
        """Whether `drain` or `aclose` has begun: no event is taken any more."""
        return self._closing

    def is_connection_active(self, user_id: str) -> bool:
        """Whether the user has an open socket."""
        return any(connection.is_open for connection in self._connections.of_user(user_id))

    def get_user_connections(self, user_id: str) -> list[str]:
        """The ids of the user's open connections, oldest first."""
        return [held.connection_id for held in self._connections.of_user(user_id) if held.is_open]

    def get_connection_health(self, user_id: str) -> ConnectionHealth:
        """Figures of the user's connections at this moment."""
        return self._connections.health(user_id)

    async def emit_critical_event(  # noqa: PLR0913 -- the interface of the emitters, optional parts by keyword
        self,
        user_id: str,
        event_type: str,
        data: EventData,
        *,
        run_id: str | None = None,
        thread_id: str | None = None,
        variant: str = "unified",
        envelope: Envelope = unified_envelope,
    ) -> EmitReceipt:
        """Send an event to every socket of the user; returns at once, before it is delivered.

        Only `user_id` routes; ids inside `data` do not. When a router carries an attempt for this event, that attempt
        is the one that is settled (its variant, run and thread count); otherwise one is recorded here. `envelope`
        makes the wire form.

        The receipt is false when nothing was queued: no connection, a full queue, data without a JSON form, or a
        closing manager. That is an outcome too, already recorded.
        """
        carried = claim(user_id, event_type)
        opened = carried.open if carried else self._open(user_id, event_type, run_id, thread_id, variant)
        return _answer(carried, self._dispatch(opened, data, envelope))

    def refuse_event(
        self, user_id: str, event_type: str, reason: str, *, run_id: str | None, thread_id: str | None, variant: str
    ) -> EmitReceipt:
        """Record that an emitter will not send this event: an attempt that is rejected at once."""
        carried = claim(user_id, event_type)
        opened = carried.open if carried else self._open(user_id, event_type, run_id, thread_id, variant)
        return _answer(carried, self._refused(opened, DeliveryStatus.REJECTED, reason))

    def timestamp(self) -> str:
        """Now, in the form that events carry: ISO 8601, UTC."""
        return iso_time(self._clock())

    def add_sweep(self, sweep: Sweep) -> None:
        """Call `sweep(monotonic_now)` periodically too; it says whether it has work left."""
        self._sweeper.add(sweep)

    def remove_sweep(self, sweep: Sweep) -> None:
        """Call it no more."""
        self._sweeper.remove(sweep)

    def ensure_sweeping(self) -> None:
        """Keep deadlines even when nobody is connected. Cheap enough for every event; needs a running loop."""
        if not self._closing:
            self._sweeper.ensure_running()

    async def drain(self, timeout: float | None = None) -> int:  # noqa: ASYNC109 -- a budget of the whole, not a cancellation
        """Take no more events, wait for the open ones, and settle what is left after `timeout` seconds as interrupted.

        Returns how many were interrupted. Without a timeout it waits as long as an event may take. There is no way
        back: the next step is `aclose`.
        """
        self._closing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout if timeout is None else timeout):
                await self.recorder.all_settled()
        left = self.recorder.pending
        for connection in self._connections:
            connection.abandon_unsettled(DeliveryStatus.INTERRUPTED, "the manager was drained")
        self.recorder.interrupt_pending("the manager was drained")
        return left

    async def aclose(self) -> None:
        """Settle what is open as interrupted, close all sockets with 1001 and end every task."""
        await self.drain(0)
        closing = list(self._connections)
        for connection in closing:
            connection.finish(DeliveryStatus.INTERRUPTED, "the manager was closed")
        await asyncio.gather(*(connection.close(_GOING_AWAY, "the server is going away") for connection in closing))
        await self._connections.forget_all()
        await self._sweeper.aclose()

    def _register(
        self, user_id: str, websocket: WebSocket, connection_id: str | None, thread_id: str | None
    ) -> SocketConnection:
        if self._closing:
            raise ConnectionLimitError("the server is closing: connect again")
        connection = self._connections.register(user_id, websocket, connection_id, thread_id)
        self._sweeper.ensure_running()
        return connection

    def _open(
        self, user_id: str, event_type: str, run_id: str | None, thread_id: str | None, variant: str
    ) -> OpenAttempt:
        return self.recorder.attempt(DeliveryAttempt(new_id(), event_type, user_id, run_id, thread_id, variant))

    def _dispatch(self, opened: OpenAttempt, data: EventData, envelope: Envelope) -> EmitReceipt:
        attempt = opened.attempt
        if self._closing:
            return self._refused(opened, DeliveryStatus.INTERRUPTED, "the manager is closing")
        held = self._connections.of_user(attempt.user_id)
        connections = [connection for connection in held if connection.is_open]
        if not connections:
            if any(connection.closed_by_us for connection in held):
                return self._refused(opened, DeliveryStatus.INTERRUPTED, "this process is closing the connection")
            return self._refused(opened, DeliveryStatus.NO_CONNECTION, "the user has no connection")
        try:
            frame = encode(envelope(self._event(attempt, data)), self._max_event_bytes)
        except UnsendableEventError as error:
            return self._refused(opened, DeliveryStatus.ERROR, str(error))
        delivery = Delivery(attempt.event_id, frame, self.recorder.clock() + self._timeout, self.recorder.settle)
        for connection in connections:
            connection.offer(delivery)
        if not delivery.waiting:
            return self._refused(opened, DeliveryStatus.OVERFLOW, "the queue of every connection is full")
        return EmitReceipt(opened, accepted=True)

    def _event(self, attempt: DeliveryAttempt, data: EventData) -> Event:
        return Event(
            attempt.event_id,
            attempt.event_type,
            attempt.user_id,
            attempt.run_id,
            attempt.thread_id,
            data,
            iso_time(self._clock()),
        )

    def _refused(self, opened: OpenAttempt, status: DeliveryStatus, error: str) -> EmitReceipt:
        self.recorder.settle(opened.attempt.event_id, status, error)
        return EmitReceipt(opened, accepted=False)

    def _sweep(self, now: float) -> bool:
        self._connections.sweep(now)
        self.recorder.sweep(now)
        return bool(self._connections or self.recorder.pending)


def _answer(carried: AttemptClaim | None, receipt: EmitReceipt) -> EmitReceipt:
    if carried is not None:
        carried.receipt = receipt
    return receipt
