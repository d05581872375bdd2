"""From an emitted event to the queues of its user's sockets."""

from __future__ import annotations

from collections.abc import Collection

from controller.clock import Clock
from controller.emitters.delivery import Delivery
from controller.emitters.envelopes import Envelope, Event, UnsendableEventError, encode, iso_time
from controller.emitters.limits import Limits
from controller.emitters.outcomes import DeliveryStatus
from controller.emitters.receipts import EmitReceipt, OpenAttempt
from controller.emitters.recorder import DeliveryRecorder
from controller.emitters.registry import ConnectionRegistry
from controller.emitters.types import EventData

__all__ = ["Dispatcher"]


class Dispatcher:
    """Offers an event to every socket that is to have it."""

    def __init__(
        self,
        recorder: DeliveryRecorder,
        connections: ConnectionRegistry,
        limits: Limits,
        clock: Clock,
        progress_events: Collection[str],
    ) -> None:
        self._recorder = recorder
        self._connections = connections
        self._limits = limits
        self._clock = clock
        self._progress_events = frozenset(progress_events)
        #: No event is taken any more.
        self.closing = False

    def offer(self, opened: OpenAttempt, data: EventData, envelope: Envelope, connection_id: str | None) -> EmitReceipt:
        """Queue the event of an attempt, or settle the attempt where it cannot be queued."""
        attempt = opened.attempt
        if self.closing:
            return self._refused(opened, DeliveryStatus.INTERRUPTED, "the manager is closing")
        connections = self._connections.targets(attempt.user_id, connection_id)
        awaited = self._connections.parking.awaits(attempt.user_id)
        if not connections and not awaited:
            return self._refused(opened, DeliveryStatus.NO_CONNECTION, "the user has no connection")
        try:
            delivery = self._delivery(opened, data, envelope)
        except UnsendableEventError as error:
            return self._refused(opened, DeliveryStatus.ERROR, str(error))
        for connection in connections:
            connection.offer(delivery)
        if awaited:
            self._connections.parking.add(attempt.user_id, delivery, delivery.emitted_at, connected=bool(connections))
        if not delivery.waiting:
            return self._refused(opened, DeliveryStatus.OVERFLOW, "the queue of every connection is full")
        return EmitReceipt(opened, accepted=True)

    def _delivery(self, opened: OpenAttempt, data: EventData, envelope: Envelope) -> Delivery:
        attempt = opened.attempt
        event_type = attempt.event_type
        event = Event(
            attempt.event_id,
            event_type,
            attempt.user_id,
            attempt.run_id,
            attempt.thread_id,
            data,
            iso_time(self._clock()),
        )
        now = self._recorder.clock()
        return Delivery(
            attempt.event_id,
            encode(envelope(event), self._limits.max_event_bytes),
            now,
            min(opened.deadline, now + self._limits.delivery_timeout),
            self._recorder.settle,
            (event_type, attempt.run_id) if event_type in self._progress_events else None,
        )

    def reject(self, opened: OpenAttempt, reason: str) -> EmitReceipt:
        """Settle the attempt of an event that an emitter will not send."""
        return self._refused(opened, DeliveryStatus.REJECTED, reason)

    def _refused(self, opened: OpenAttempt, status: DeliveryStatus, error: str) -> EmitReceipt:
        self._recorder.settle(opened.attempt.event_id, status, error)
        return EmitReceipt(opened, accepted=False)
