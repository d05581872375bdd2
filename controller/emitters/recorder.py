"""The one place where attempts and outcomes are counted: exactly one final outcome per event."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from controller.emitters.counters import Cell, RecorderCounters, TallyBoard
from controller.emitters.outcomes import DELIVERED, DeliveryAttempt, DeliveryOutcome, DeliveryStatus
from controller.emitters.receipts import OpenAttempt

__all__ = ["DeliveryListener", "DeliveryRecorder"]

logger = logging.getLogger(__name__)

_SECOND_MS: Final = 1000.0


class DeliveryListener(Protocol):
    """Hears of every attempt and every final outcome, synchronously; it must be quick and must not block."""

    def attempted(self, attempt: DeliveryAttempt) -> None:
        """An event is about to be sent."""

    def settled(self, outcome: DeliveryOutcome) -> None:
        """The attempt of this id has its final outcome."""


class _Function:
    """A function as a listener."""

    def __init__(self, function: Callable[[DeliveryOutcome], object]) -> None:
        self.function = function

    def attempted(self, attempt: DeliveryAttempt) -> None:
        pass

    def settled(self, outcome: DeliveryOutcome) -> None:
        self.function(outcome)


def _is(listener: DeliveryListener, function: object) -> bool:
    return isinstance(listener, _Function) and listener.function == function


class DeliveryRecorder:
    """Keeps attempts until they are settled, the latest outcomes for people, and counters for everybody.

    One recorder belongs to one manager and is used from its event loop alone. All calls are O(1) and never raise
    because of a listener. Nothing is lost by bounds: a detail that falls out of the ring has been counted and heard,
    and an attempt pushed out by too many open ones is settled as failed.

    Args:
        capacity: how many of the latest outcomes `outcomes()` remembers.
        delivery_deadline: seconds after which an unsettled attempt has failed.
        max_pending: how many attempts may be open at once.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        capacity: int = 10_000,
        delivery_deadline: float = 5.0,
        *,
        max_pending: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if capacity < 1 or max_pending < 1:
            raise ValueError(f"capacity ({capacity}) and max_pending ({max_pending}) must be at least 1")
        if delivery_deadline <= 0:
            raise ValueError(f"delivery_deadline must be more than 0 seconds, not {delivery_deadline}")
        self.delivery_deadline = delivery_deadline
        self.clock = clock
        self._capacity = capacity
        self._max_pending = max_pending
        self._pending: OrderedDict[str, OpenAttempt] = OrderedDict()
        self._recent: OrderedDict[str, DeliveryOutcome] = OrderedDict()
        self._board = TallyBoard()
        self._listeners: tuple[DeliveryListener, ...] = ()
        self._dropped_records = 0
        self._ignored_records = 0
        self._listener_errors = 0

    @property
    def pending(self) -> int:
        """How many attempts wait for their outcome."""
        return len(self._pending)

    def add_listener(self, listener: DeliveryListener | Callable[[DeliveryOutcome], object]) -> None:
        """Tell the listener of everything from now on; a function is told the outcomes alone.

        It is called synchronously and never left out. One that raises is counted and called again next time.
        """
        self._listeners = (*self._listeners, _Function(listener) if callable(listener) else listener)

    def remove_listener(self, listener: DeliveryListener | Callable[[DeliveryOutcome], object]) -> None:
        """Stop telling the listener. Unknown listeners are no error."""
        self._listeners = tuple(kept for kept in self._listeners if kept is not listener and not _is(kept, listener))

    def attempt(self, attempt: DeliveryAttempt) -> OpenAttempt:
        """Open an attempt. A second one under the same id changes nothing and is counted as ignored."""
        event_id = attempt.event_id
        if event_id in self._pending or event_id in self._recent:
            self._ignored_records += 1
            return self._known(attempt)
        if len(self._pending) >= self._max_pending:
            oldest = next(iter(self._pending))
            self.settle(oldest, DeliveryStatus.OVERFLOW, f"more than {self._max_pending} attempts were open")
        now = self.clock()
        opened = OpenAttempt(attempt, now, now + self.delivery_deadline)
        self._pending[event_id] = opened
        self._board.attempted(attempt)
        for listener in self._listeners:
            try:
                listener.attempted(attempt)
            except Exception as error:  # noqa: BLE001 -- a listener may be anybody's code
                self._listener_failed(error)
        return opened

    def record(self, outcome: DeliveryOutcome) -> bool:
        """Settle the attempt of this id. False, and nothing changed, when it is settled already or was never made."""
        opened = self._pending.pop(outcome.event_id, None)
        if opened is None:
            self._ignored_records += 1
            return False
        self._close(opened, outcome)
        return True

    def settle(self, event_id: str, status: DeliveryStatus, error: str = "", at: float | None = None) -> bool:
        """Record the outcome of an open attempt from its status alone; the latency is measured here.

        `at` is the monotonic second of the proof, for one that came earlier than now.
        """
        opened = self._pending.pop(event_id, None)
        if opened is None:
            self._ignored_records += 1
            return False
        attempt = opened.attempt
        delivered = status in DELIVERED
        outcome = DeliveryOutcome(
            event_id,
            attempt.event_type,
            attempt.user_id,
            attempt.run_id,
            attempt.thread_id,
            status,
            attempt.variant,
            ((self.clock() if at is None else at) - opened.started) * _SECOND_MS if delivered else None,
            error,
        )
        self._close(opened, outcome)
        return True

    def sweep(self, now: float | None = None) -> int:
        """Fail every attempt that is past its deadline. Returns how many there were."""
        moment = self.clock() if now is None else now
        expired = []
        for event_id, opened in self._pending.items():
            if opened.deadline > moment:
                break  # attempts are kept in the order of their deadlines
            expired.append(event_id)
        for event_id in expired:
            self.settle(event_id, DeliveryStatus.TIMEOUT, f"nothing proved receipt within {self.delivery_deadline:g} s")
        return len(expired)

    async def all_settled(self) -> None:
        """Wait until no attempt is open."""
        while self._pending:
            await next(reversed(self._pending.values())).settled()

    def interrupt_pending(self, reason: str) -> int:
        """Settle everything open as interrupted, because our own process ends. Returns how many there were."""
        unsettled = list(self._pending)
        for event_id in unsettled:
            self.settle(event_id, DeliveryStatus.INTERRUPTED, reason)
        return len(unsettled)

    def outcomes(self) -> list[DeliveryOutcome]:
        """The latest outcomes, oldest first."""
        return list(self._recent.values())

    def counters(self) -> RecorderCounters:
        """All counts up to now."""
        cells = self._board.snapshot()
        whole = sum(cells.values(), Cell())
        return RecorderCounters(
            attempted=whole.attempted,
            total=whole.total,
            delivered=whole.delivered,
            failed=whole.failed,
            abandoned=whole.abandoned,
            interrupted=whole.interrupted,
            acked=whole.acked,
            pending=len(self._pending),
            dropped_records=self._dropped_records,
            ignored_records=self._ignored_records,
            listener_errors=self._listener_errors,
            by_event=cells,
        )

    def _known(self, attempt: DeliveryAttempt) -> OpenAttempt:
        opened = self._pending.get(attempt.event_id)
        if opened is None:
            opened = OpenAttempt(attempt, self.clock(), self.clock())
            opened.settle(self._recent[attempt.event_id])
        return opened

    def _close(self, opened: OpenAttempt, outcome: DeliveryOutcome) -> None:
        recent = self._recent
        if len(recent) >= self._capacity:
            recent.popitem(last=False)
            self._dropped_records += 1
        recent[outcome.event_id] = outcome
        self._board.settled(outcome)
        for listener in self._listeners:
            try:
                listener.settled(outcome)
            except Exception as error:  # noqa: BLE001 -- a listener may be anybody's code
                self._listener_failed(error)
        opened.settle(outcome)  # whoever waits for it finds that everybody has heard

    def _listener_failed(self, error: Exception) -> None:
        self._listener_errors += 1
        if self._listener_errors == 1:  # one line is enough to find it; the counter tells how often
            logger.error("a delivery listener raised %r; it is counted and emission goes on", error)
