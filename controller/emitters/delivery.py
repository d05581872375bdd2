"""One event on its way to all sockets of its user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from controller.emitters.outcomes import OUTCOME_CLASS, DeliveryStatus, OutcomeClass

__all__ = ["CoalesceKey", "Delivery", "Settle"]

#: Takes event id, status, error, and the monotonic second of the proof (None for now); False if settled already.
Settle = Callable[[str, DeliveryStatus, str, float | None], bool]
#: Two queued events of one key are the same progress: the newer one will do.
CoalesceKey = tuple[str, str | None]

_GRAVITY: Final = {
    DeliveryStatus.COALESCED: 0,
    DeliveryStatus.NO_CONNECTION: 1,
    DeliveryStatus.LEFT: 2,
    DeliveryStatus.INTERRUPTED: 4,
    **{status: 3 for status, found in OUTCOME_CLASS.items() if found is OutcomeClass.FAILED},
}


class Delivery(msgspec.Struct, eq=False):
    """Settles an event from what its connections report: the first confirmation delivers it, the last loss ends it.

    When every connection has lost it, the gravest word speaks for all: interrupted before failed (had our process not
    ended that socket, it might have delivered), failed before left (the user was still there on another socket).
    """

    event_id: str
    frame: bytes
    #: Monotonic seconds.
    emitted_at: float
    #: Monotonic seconds after which a connection gives the event up.
    deadline: float
    _settle: Settle
    #: Set for progress events.
    coalesce: CoalesceKey | None = None
    #: How many connections may still confirm it.
    waiting: int = 0
    _done: bool = False
    _status: DeliveryStatus | None = None
    _error: str = ""

    @property
    def settled(self) -> bool:
        """Whether it has its outcome."""
        return self._done

    def taken(self) -> None:
        """A connection has taken the event into its queue."""
        self.waiting += 1

    def handed_over(self) -> None:
        """Whoever held the event has given it to another one that has taken it."""
        self.waiting -= 1

    def confirmed(self, status: DeliveryStatus, at: float | None = None) -> None:
        """A peer has proved receipt, at this monotonic second (None: now)."""
        self.waiting -= 1
        if not self._done:
            self._done = True
            self._settle(self.event_id, status, "", at)

    def lost(self, status: DeliveryStatus, error: str) -> None:
        """A connection will not confirm it any more."""
        self.waiting -= 1
        if self._done:
            return
        if self._status is None or _GRAVITY[status] > _GRAVITY[self._status]:
            self._status, self._error = status, error
        if self.waiting == 0:
            self._done = True
            self._settle(self.event_id, self._status, self._error, None)
