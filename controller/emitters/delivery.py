"""One event on its way to all sockets of its user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from controller.emitters.outcomes import DeliveryStatus

__all__ = ["Delivery"]

_OUTSIDE_THE_RATE: Final = (DeliveryStatus.INTERRUPTED, DeliveryStatus.LEFT)


class Delivery:
    """Settles an event from what its connections report: the first confirmation delivers it, the last loss ends it.

    When every connection has lost it, the gravest word speaks for all: interrupted before failed (had our process not
    ended that socket, it might have delivered), failed before left (the user was still there on another socket).
    """

    __slots__ = ("_done", "_error", "_settle", "_status", "_waiting", "deadline", "event_id", "frame")

    def __init__(
        self, event_id: str, frame: bytes, deadline: float, settle: Callable[[str, DeliveryStatus, str], bool]
    ) -> None:
        self.event_id = event_id
        self.frame = frame
        #: Monotonic seconds after which a connection gives the event up.
        self.deadline = deadline
        self._settle = settle
        self._waiting = 0
        self._done = False
        self._status: DeliveryStatus | None = None
        self._error = ""

    @property
    def waiting(self) -> int:
        """How many connections may still confirm it."""
        return self._waiting

    def taken(self) -> None:
        """A connection has taken the event into its queue."""
        self._waiting += 1

    def confirmed(self, status: DeliveryStatus) -> None:
        """A peer has proved receipt."""
        self._waiting -= 1
        if not self._done:
            self._done = True
            self._settle(self.event_id, status, "")

    def lost(self, status: DeliveryStatus, error: str) -> None:
        """A connection will not confirm it any more."""
        self._waiting -= 1
        if self._done:
            return
        if self._status is None or _outranks(status, self._status):
            self._status, self._error = status, error
        if self._waiting == 0:
            self._done = True
            self._settle(self.event_id, self._status, self._error)


def _outranks(new: DeliveryStatus, known: DeliveryStatus) -> bool:
    if new is DeliveryStatus.INTERRUPTED:
        return True
    return known is DeliveryStatus.LEFT and new not in _OUTSIDE_THE_RATE
