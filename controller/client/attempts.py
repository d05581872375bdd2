"""One attempt to deliver an event, from before anything is done until its one final outcome."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from controller.domain.outcomes import OutcomeClass
from controller.domain.units import Ticket

#: What an attempt is counted by: flag, variant, event type.
Series = tuple[str, str, str]


class Settler(Protocol):
    """Who takes an outcome."""

    def settle_attempt(
        self, attempt: Attempt, outcome: OutcomeClass, *, latency_ms: float | None = None, reason: str = ""
    ) -> bool:
        """Enter the outcome; False when there is one already."""


class Attempt:
    """A handle of one attempt; the first of its methods to be called decides, later calls are ignored and counted.

    As a context manager: leaving normally is delivered, an exception is failed, a cancellation (or anything else that
    is no `Exception`) is interrupted. Whoever forgets it entirely finds it failed at the delivery deadline.

    Attributes:
        user, run: keyed hashes, empty when not given; `user_id` is kept only until the outcome, to take it out of
            texts.
        counted_in: the series of the counts, which is another one when there are too many; None if in none.
    """

    __slots__ = (
        "_settler",
        "counted_in",
        "epoch",
        "event_id",
        "run",
        "series",
        "settled",
        "started_ms",
        "ticket",
        "user",
        "user_id",
    )

    def __init__(self, settler: Settler, series: Series, event_id: str, started_ms: int) -> None:
        self._settler = settler
        self.series = series
        self.event_id = event_id
        self.started_ms = started_ms
        self.settled = False
        self.counted_in: Series | None = None
        self.user_id = self.user = self.run = ""
        self.epoch = 0
        self.ticket: Ticket | None = None

    def delivered(self, latency_ms: float | None = None) -> bool:
        """The peer proved receipt; without `latency_ms` the time since the attempt is taken."""
        return self._settler.settle_attempt(self, OutcomeClass.DELIVERED, latency_ms=latency_ms)

    def failed(self, reason: str = "") -> bool:
        """It did not arrive; `reason` is shown to people."""
        return self._settler.settle_attempt(self, OutcomeClass.FAILED, reason=reason)

    def abandoned(self, reason: str = "") -> bool:
        """The user left."""
        return self._settler.settle_attempt(self, OutcomeClass.ABANDONED, reason=reason)

    def interrupted(self, reason: str = "") -> bool:
        """Our own process ended it."""
        return self._settler.settle_attempt(self, OutcomeClass.INTERRUPTED, reason=reason)

    def forget(self) -> None:
        """Let go of what only an open attempt needs."""
        self.user_id = ""
        self.ticket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.settled:
            return
        if kind is None:
            self.delivered()
        elif issubclass(kind, Exception):
            self.failed(kind.__name__)  # its message might name the user
        else:
            self.interrupted(kind.__name__)
