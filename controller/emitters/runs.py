"""Which runs are pinned to which variant, and how many of them are open."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Protocol

from controller.emitters.events import RunEmitter
from controller.emitters.outcomes import Assignment
from controller.emitters.types import UserExecutionContext

__all__ = ["ObserverList", "PinnedRuns", "Run", "RunKey", "RunObserver"]

logger = logging.getLogger(__name__)

#: (user id, run id)
RunKey = tuple[str, str]


class RunObserver(Protocol):
    """Hears of runs, synchronously; it must be quick and must not block."""

    def exposed(self, assignment: Assignment) -> None:
        """A run is about to send its first event under this assignment."""

    def open_runs(self, variant: str, count: int) -> None:
        """So many open runs carried their last event by this variant."""

    def run_ended(self, assignment: Assignment, user_id: str, run_id: str) -> None:
        """A run has sent its last event, or was released."""


class ObserverList:
    """All observers as one; one that raises is counted and never breaks emission."""

    def __init__(self) -> None:
        self._observers: tuple[RunObserver, ...] = ()
        self.errors = 0

    def add(self, observer: RunObserver) -> None:
        """Tell this one too."""
        self._observers = (*self._observers, observer)

    def exposed(self, assignment: Assignment) -> None:
        """Tell everybody."""
        self._tell(lambda observer: observer.exposed(assignment))

    def open_runs(self, variant: str, count: int) -> None:
        """Tell everybody."""
        self._tell(lambda observer: observer.open_runs(variant, count))

    def run_ended(self, assignment: Assignment, user_id: str, run_id: str) -> None:
        """Tell everybody."""
        self._tell(lambda observer: observer.run_ended(assignment, user_id, run_id))

    def _tell(self, call: Callable[[RunObserver], None]) -> None:
        for observer in self._observers:
            try:
                call(observer)
            except Exception:
                self.errors += 1
                if self.errors == 1:
                    logger.exception("a run observer raised; it is counted and emission goes on")


class Run:
    """One run and the variant it is pinned to."""

    __slots__ = (
        "assignment",
        "context",
        "counted_as",
        "emitter",
        "exposed",
        "faults",
        "generation",
        "key",
        "last_event",
    )

    def __init__(self, context: UserExecutionContext, assignment: Assignment, generation: object, now: float) -> None:
        self.context = context
        self.key: RunKey = (context.user_id, context.run_id)
        self.assignment = assignment
        #: The router's generation that the assignment was made in.
        self.generation = generation
        #: Made at the first event, inside the measured part.
        self.emitter: RunEmitter | None = None
        self.exposed = False
        #: Times that an emitter of this run raised.
        self.faults = 0
        #: The variant it counts for among the open runs; None before its first event and after its end.
        self.counted_as: str | None = None
        self.last_event = now


class PinnedRuns:
    """A bounded memory of runs in the order of their last use, and the counts of the open ones.

    An open run has sent an event and neither ended nor fallen idle. Forgetting a run never changes its variant while
    somebody still holds its emitter: the next event pins it again as it was.
    """

    def __init__(self, max_pins: int, idle_timeout: float, observers: ObserverList) -> None:
        if max_pins < 1:
            raise ValueError(f"max_pins must be at least 1, not {max_pins}")
        if idle_timeout <= 0:
            raise ValueError(f"idle_timeout must be more than 0 seconds, not {idle_timeout}")
        self._max_pins = max_pins
        self._idle_timeout = idle_timeout
        self._observers = observers
        self._runs: OrderedDict[RunKey, Run] = OrderedDict()
        self._open: Counter[str] = Counter()
        #: Runs forgotten because there were too many.
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._runs)

    def get(self, key: RunKey) -> Run | None:
        """The pinned run of this key."""
        return self._runs.get(key)

    def pin(self, run: Run) -> Run:
        """Pin the run, or give the one that is pinned for its key already."""
        pinned = self._runs.get(run.key)
        if pinned is not None:
            return pinned
        if len(self._runs) >= self._max_pins:
            _, oldest = self._runs.popitem(last=False)
            self.evicted += 1
            self._count(oldest, None)
        self._runs[run.key] = run
        return run

    def carried_event(self, run: Run, now: float) -> None:
        """The pinned run is sending an event by its current variant."""
        run.last_event = now
        self._runs.move_to_end(run.key)
        if run.counted_as != run.assignment.variant:
            self._count(run, run.assignment.variant)

    def release(self, key: RunKey) -> Run | None:
        """Forget a run; None when it was not pinned."""
        run = self._runs.pop(key, None)
        if run is not None:
            self._count(run, None)
        return run

    def release_idle(self, now: float) -> None:
        """Forget the runs that have sent nothing for the idle time."""
        while self._runs:
            oldest = next(iter(self._runs.values()))
            if oldest.last_event + self._idle_timeout > now:
                return
            self.release(oldest.key)

    def open_counts(self) -> dict[str, int]:
        """Open runs by variant; every variant that ever had one is listed."""
        return dict(self._open)

    def _count(self, run: Run, variant: str | None) -> None:
        before, run.counted_as = run.counted_as, variant
        if before is not None:
            self._open[before] -= 1
            self._observers.open_runs(before, self._open[before])
        if variant is not None:
            self._open[variant] += 1
            self._observers.open_runs(variant, self._open[variant])
