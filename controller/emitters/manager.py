"""The one place where events meet sockets, and the one place where delivery is measured, for every variant alike."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from controller.clock import Clock, system_clock
from controller.emitters.attempts import claim
from controller.emitters.dispatch import Dispatcher
from controller.emitters.endings import GOING_AWAY, Ending
from controller.emitters.envelopes import Envelope, iso_time, unified_envelope
from controller.emitters.limits import Limits
from controller.emitters.outcomes import DeliveryAttempt, DeliveryStatus
from controller.emitters.receipts import EmitReceipt
from controller.emitters.recorder import DeliveryRecorder
from controller.emitters.serving import SocketService
from controller.emitters.sweeper import Sweep
from controller.emitters.types import PROGRESS_EVENTS, EventData, new_id

__all__ = ["UnifiedWebSocketManager"]

_DRAINED: Final = "the manager was drained"


class UnifiedWebSocketManager(SocketService):
    """Delivers events to all sockets of a user and settles each event once.

    An emit puts the event into the queue of each socket and returns; what was queued in one turn of the event loop is
    written together, up to 64 frames and a ping, and the pong (or an acknowledgement of the application) proves
    receipt. The event is delivered when any socket proves it and failed when all have failed. What no socket proved
    before it was lost waits for the user to come back (`replay_window`). Everything is bounded, and a bound that is hit
    is an outcome.

    No task is started before the first connection or the first measured event; `aclose` leaves none behind. Use one
    manager in one event loop.

    Args:
        recorder: where attempts and outcomes go; one is made when not given, with `delivery_timeout` as its deadline.
        delivery_timeout: seconds in which receipt has to be proved.
        max_queue: events that wait to be written, per socket.
        max_inflight: events that wait for their proof, per socket.
        max_timeouts: unproved events in a row after which a socket is closed with 1013.
        max_ignored_acks: acknowledgements of nothing in a row after which a socket is closed with 1008.
        max_connections_per_user: sockets one user may hold open.
        max_event_bytes: longest frame; the default is what websockets clients read at most.
        close_timeout: seconds for a closing handshake before the transport is cut.
        reconnect_grace: seconds that an unproved event of a lost connection waits for its user; then the loss is its
            outcome. Never longer than the deadline.
        replay_window: seconds after its emission in which an unproved event is sent again to a connection that comes
            back. 0 sends nothing again, and settles what a lost connection held at once.
        max_parked: events that wait for users to come back, over all users; the oldest give way.
        progress_events: types of which only the newest matters; a queued one gives way to its successor of that run.
        clock: wall clock for the timestamps on the wire, milliseconds since the Unix epoch.

    Raises:
        ValueError: a bound makes no sense; the message names it.
    """

    def __init__(  # noqa: PLR0913 -- keyword-only bounds, each with its default
        self,
        *,
        recorder: DeliveryRecorder | None = None,
        delivery_timeout: float = Limits.delivery_timeout,
        max_queue: int = Limits.max_queue,
        max_inflight: int = Limits.max_inflight,
        max_timeouts: int = Limits.max_timeouts,
        max_ignored_acks: int = Limits.max_ignored_acks,
        max_connections_per_user: int = Limits.max_connections_per_user,
        max_event_bytes: int = Limits.max_event_bytes,
        close_timeout: float = Limits.close_timeout,
        reconnect_grace: float = Limits.reconnect_grace,
        replay_window: float = Limits.replay_window,
        max_parked: int = Limits.max_parked,
        progress_events: Collection[str] = PROGRESS_EVENTS,
        clock: Clock = system_clock,
    ) -> None:
        limits = Limits(
            delivery_timeout,
            max_queue,
            max_inflight,
            max_timeouts,
            max_ignored_acks,
            max_connections_per_user,
            max_event_bytes,
            close_timeout,
            reconnect_grace,
            replay_window,
            max_parked,
        )
        self.recorder = recorder or DeliveryRecorder(delivery_deadline=delivery_timeout)
        super().__init__(limits, self.recorder.clock)
        self._clock = clock
        self._dispatcher = Dispatcher(self.recorder, self._connections, limits, clock, progress_events)
        self._sweeper.add(self._sweep)

    # --- events -----------------------------------------------------------------------------------------------------

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
        connection_id: str | None = None,
    ) -> EmitReceipt:
        """Send an event to every socket of the user; returns at once, before it is delivered.

        Only `user_id` routes; ids inside `data` do not. When a router carries an attempt for this event, that attempt
        is the one that is settled (its variant, run and thread count); otherwise one is recorded here. `envelope`
        makes the wire form. With `connection_id` the event goes to that one of the user's sockets, if it is open.

        The receipt is false when nothing was queued: no connection, a full queue, data without a JSON form, or a
        closing manager. That is an outcome too, already recorded. While a user whose connection has just been lost may
        come back, events wait for that, and the receipt is true.
        """
        carried = claim(user_id, event_type)
        if carried is None:
            opened = self.recorder.attempt(DeliveryAttempt(new_id(), event_type, user_id, run_id, thread_id, variant))
        else:
            opened = carried.open
        receipt = self._dispatcher.offer(opened, data, envelope, connection_id)
        if carried is not None:
            carried.receipt = receipt
        return receipt

    def refuse_event(
        self, user_id: str, event_type: str, reason: str, *, run_id: str | None, thread_id: str | None, variant: str
    ) -> EmitReceipt:
        """Record that an emitter will not send this event: an attempt that is rejected at once."""
        carried = claim(user_id, event_type)
        if carried is None:
            opened = self.recorder.attempt(DeliveryAttempt(new_id(), event_type, user_id, run_id, thread_id, variant))
        else:
            opened = carried.open
        receipt = self._dispatcher.reject(opened, reason)
        if carried is not None:
            carried.receipt = receipt
        return receipt

    def timestamp(self) -> str:
        """Now, in the form that events carry: ISO 8601, UTC."""
        return iso_time(self._clock())

    # --- time and the end -------------------------------------------------------------------------------------------

    def add_sweep(self, sweep: Sweep) -> None:
        """Call `sweep(monotonic_now)` periodically too; it says whether it has work left."""
        self._sweeper.add(sweep)

    def remove_sweep(self, sweep: Sweep) -> None:
        """Call it no more."""
        self._sweeper.remove(sweep)

    def ensure_sweeping(self) -> None:
        """Keep deadlines even when nobody is connected. Cheap enough for every event; needs a running loop."""
        if not (self._sweeper.running or self._closing):
            self._sweeper.ensure_running()

    async def drain(self, timeout: float | None = None) -> int:  # noqa: ASYNC109 -- a budget of the whole, not a cancellation
        """Take no more events, wait for the open ones, and settle what is left after `timeout` seconds as interrupted.

        Returns how many were interrupted. Without a timeout it waits as long as an event may take. There is no way
        back: the next step is `aclose`.
        """
        self._closing = self._dispatcher.closing = True
        self._connections.stop_parking(_DRAINED)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.delivery_timeout if timeout is None else timeout):
                await self.recorder.all_settled()
        held = [delivery for connection in self._connections for delivery in connection.let_go()]
        left = self.recorder.pending
        for delivery in held:
            delivery.lost(DeliveryStatus.INTERRUPTED, _DRAINED)
        self.recorder.interrupt_pending(_DRAINED)
        return left

    async def aclose(self) -> None:
        """Settle what is open as interrupted, close all sockets with 1001 and end every task."""
        await self.drain(0)
        closing = list(self._connections)
        for connection in closing:
            connection.finish(Ending(DeliveryStatus.INTERRUPTED, "the manager was closed"))
        await asyncio.gather(*(connection.close(GOING_AWAY, "the server is going away") for connection in closing))
        await self._connections.forget_all()
        await self._sweeper.aclose()
        await asyncio.sleep(0)  # listeners that pass outcomes on in the next turn have had it

    def _sweep(self, now: float) -> bool:
        self._connections.sweep(now)
        self.recorder.sweep(now)
        return bool(self._connections or self.recorder.pending)
