"""Acknowledgements of the application at the other end: read, and told from noise."""

from __future__ import annotations

from typing import Final

import msgspec

from controller.emitters.delivery import Delivery
from controller.emitters.outcomes import DeliveryStatus

__all__ = ["ACK_WAIT_S", "Ack", "AckAccount", "AwaitingAck", "read_ack"]

#: Seconds after the pong in which a peer that acknowledges is given the chance to say more.
ACK_WAIT_S: Final = 1.0

_MAX_ACK_BYTES: Final = 1_024
_TYPES: Final = frozenset({"ack", "confirmation"})


class Ack(msgspec.Struct):
    """{"type": "ack", "event_id"} or {"type": "confirmation", "event_id", "status": "confirmed" | "failed"}."""

    type: str
    event_id: str
    status: str = "confirmed"

    @property
    def positive(self) -> bool:
        """Whether the application says that it has processed the event."""
        return self.type == "ack" or self.status == "confirmed"


_decoder: Final = msgspec.json.Decoder(Ack)


def read_ack(message: str | bytes) -> Ack | None:
    """The acknowledgement in a message of the peer, or None when it is anything else."""
    if len(message) > _MAX_ACK_BYTES:
        return None
    try:
        ack = _decoder.decode(message)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return ack if ack.type in _TYPES else None


class AckAccount:
    """How many acknowledgements a peer may still send of events that are settled already, and how many meant nothing.

    An event that was settled without its acknowledgement (the pong was quicker, or the deadline) leaves one to come.
    Whatever exceeds these is a repeat or names nothing that this peer was ever sent.
    """

    __slots__ = ("_credit", "ignored", "in_a_row")

    def __init__(self) -> None:
        self._credit = 0
        #: Acknowledgements that named nothing.
        self.ignored = 0
        #: Of these, since the last one that did.
        self.in_a_row = 0

    def to_come(self, events: int = 1) -> None:
        """So many events were settled without their acknowledgement."""
        self._credit += events

    def useful(self) -> None:
        """An acknowledgement named an event that waits for it."""
        self.in_a_row = 0

    def needless(self) -> bool:
        """An acknowledgement named no such event. True when one was still to come."""
        if self._credit > 0:
            self._credit -= 1
            return True
        self.ignored += 1
        self.in_a_row += 1
        return False


class AwaitingAck:
    """Events that the peer has read, and that its application may still acknowledge, in the order of their pongs."""

    __slots__ = ("_events",)

    def __init__(self) -> None:
        self._events: dict[str, tuple[Delivery, float]] = {}

    def __len__(self) -> int:
        return len(self._events)

    def put(self, delivery: Delivery, read_at: float) -> None:
        """Wait for the acknowledgement of an event that was read at this monotonic second."""
        self._events[delivery.event_id] = (delivery, read_at)

    def pop(self, event_id: str) -> Delivery | None:
        """Take out the event of this id."""
        found = self._events.pop(event_id, None)
        return found[0] if found else None

    def confirm(self, now: float | None = None) -> int:
        """Confirm those that have waited long enough by now (None: all of them), as of their pong. How many it were."""
        confirmed = 0
        for event_id, (delivery, read_at) in list(self._events.items()):
            if now is not None and read_at + ACK_WAIT_S > now:
                break
            del self._events[event_id]
            delivery.confirmed(DeliveryStatus.CONFIRMED, read_at)
            confirmed += 1
        return confirmed
