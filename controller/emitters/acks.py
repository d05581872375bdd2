"""Acknowledgements of the application at the other end: read, and told from noise."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["Ack", "AckAccount", "read_ack"]

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

    def to_come(self) -> None:
        """An event was settled without its acknowledgement."""
        self._credit += 1

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
