"""What was attempted, what became of it, and under which assignment: the facts that the recorder keeps."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from controller.domain.outcomes import OutcomeClass

__all__ = [
    "DELIVERED",
    "OUTCOME_CLASS",
    "Assignment",
    "DeliveryAttempt",
    "DeliveryOutcome",
    "DeliveryStatus",
    "OutcomeClass",
]


class DeliveryStatus(StrEnum):
    """How an attempt ended, in the words of a socket."""

    #: The peer answered a ping that was sent after the frame (RFC 6455 keeps the order), so it read the frame.
    CONFIRMED = "confirmed"
    #: The application at the other end named the event in an acknowledgement.
    ACKED = "acked"
    #: Nothing proved receipt before the deadline. An emitter that silently drops the event ends here too.
    TIMEOUT = "timeout"
    #: The connection broke without a clean close before anything proved receipt.
    CLOSED = "closed"
    #: A bounded queue was full.
    OVERFLOW = "overflow"
    #: The application at the other end said that it failed, or the event was refused before the write.
    REJECTED = "rejected"
    #: The emitter raised, or the event could not be put on the wire.
    ERROR = "error"
    #: The user closed the connection cleanly before the event was confirmed.
    LEFT = "left"
    #: The user had no connection at the attempt.
    NO_CONNECTION = "no_connection"
    #: Our own process ended it: shutdown or drain.
    INTERRUPTED = "interrupted"
    #: A newer progress event took its place before it was written.
    COALESCED = "coalesced"


#: The class of each status. Delivered and failed make the rate; the other two are compared between the arms.
OUTCOME_CLASS: Final[dict[DeliveryStatus, OutcomeClass]] = {
    DeliveryStatus.CONFIRMED: OutcomeClass.DELIVERED,
    DeliveryStatus.ACKED: OutcomeClass.DELIVERED,
    DeliveryStatus.TIMEOUT: OutcomeClass.FAILED,
    DeliveryStatus.CLOSED: OutcomeClass.FAILED,
    DeliveryStatus.OVERFLOW: OutcomeClass.FAILED,
    DeliveryStatus.REJECTED: OutcomeClass.FAILED,
    DeliveryStatus.ERROR: OutcomeClass.FAILED,
    DeliveryStatus.LEFT: OutcomeClass.ABANDONED,
    DeliveryStatus.NO_CONNECTION: OutcomeClass.ABANDONED,
    DeliveryStatus.INTERRUPTED: OutcomeClass.INTERRUPTED,
    DeliveryStatus.COALESCED: OutcomeClass.INTERRUPTED,
}


#: The statuses of a delivery, as a tuple: to find one in it asks for identity first, and a hash costs more.
DELIVERED: Final = (DeliveryStatus.CONFIRMED, DeliveryStatus.ACKED)


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """Why a run uses the variant it uses: the answer of one flag evaluation."""

    flag_key: str
    variant: str
    #: The rollout that governed the answer, or None when no rollout did (an error, a local rollback, a plain flag).
    rollout: str | None
    #: The rollout's evidence epoch; 0 without a rollout.
    epoch: int
    #: The snapshot revision that answered; 0 when unknown.
    revision: int
    #: OpenFeature's reason ("SPLIT", "STATIC", ...), or "ERROR: <code>", or "ROLLED_BACK: <why>".
    reason: str


class DeliveryAttempt(msgspec.Struct, frozen=True, gc=False):
    """One event that somebody is about to send. Recorded before any emitter does anything."""

    event_id: str
    event_type: str
    user_id: str
    run_id: str | None
    thread_id: str | None
    variant: str
    #: None when the event was emitted without a router: it belongs to no rollout.
    assignment: Assignment | None = None


class DeliveryOutcome(msgspec.Struct, frozen=True, gc=False):
    """The one final word about an attempt."""

    event_id: str
    event_type: str
    user_id: str
    run_id: str | None
    thread_id: str | None
    status: DeliveryStatus
    variant: str
    #: From the attempt to the proof of receipt; None unless delivered.
    latency_ms: float | None = None
    #: What went wrong, for people; empty when delivered.
    error: str = ""

    @property
    def outcome_class(self) -> OutcomeClass:
        """Delivered, failed, abandoned or interrupted."""
        return OUTCOME_CLASS[self.status]

    @property
    def delivered(self) -> bool:
        """Whether the peer proved receipt."""
        return self.status in DELIVERED
