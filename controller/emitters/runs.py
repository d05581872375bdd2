"""Which runs are pinned to which variant, and how many of them are open."""

from __future__ import annotations

from collections import Counter, OrderedDict

from controller.emitters.events import RunEmitter
from controller.emitters.observers import ObserverList
from controller.emitters.outcomes import Assignment
from controller.emitters.types import UserExecutionContext

__all__ = ["PinnedRuns", "Run", "RunKey"]

#: (user id, run id)
RunKey = tuple[str, str]


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
        #: The variant it counts for among the open runs; None before its first event, while idle and after its end.
        self.counted_as: str | None = None
        self.last_event = now


class PinnedRuns:
    """A bounded memory of runs in the order of their last use, and the counts of the open ones.

    An open run has sent an event and neither ended nor fallen idle. An idle one stays pinned for `pin_timeout`, so that
    a run that thinks for long goes on where it was. Forgetting a run never changes its variant while somebody still
    holds its emitter: the next event pins it again as it was.
    """

    def __init__(self, max_pins: int, idle_timeout: float, pin_timeout: float, observers: ObserverList) -> None:
        if max_pins < 1:
            raise ValueError(f"max_pins must be at least 1, not {max_pins}")
        if idle_timeout <= 0:
            raise ValueError(f"idle_timeout must be more than 0 seconds, not {idle_timeout}")
        if pin_timeout < idle_timeout:
            raise ValueError(f"pin_timeout must be at least idle_timeout ({idle_timeout} s), not {pin_timeout}")
        self._max_pins = max_pins
        self._idle_timeout = idle_timeout
        self._pin_timeout = pin_timeout
        self._observers = observers
        self._runs: OrderedDict[RunKey, Run] = OrderedDict()
        #: Those that have fallen idle; all of them were used before any of the others.
        self._idle: OrderedDict[RunKey, Run] = OrderedDict()
        self._open: Counter[str] = Counter()
        #: Runs forgotten because there were too many.
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._runs) + len(self._idle)

    def get(self, key: RunKey) -> Run | None:
        """The pinned run of this key."""
        return self._runs.get(key) or self._idle.get(key)

    def pin(self, run: Run) -> Run:
        """Pin the run, or give the one that is pinned for its key already."""
        pinned = self._runs.get(run.key) or self._idle.get(run.key)
        if pinned is not None:
            return pinned
        if len(self) >= self._max_pins:
            _, oldest = (self._idle or self._runs).popitem(last=False)
            self.evicted += 1
            self._count(oldest, None)
        self._runs[run.key] = run
        return run

    def carried_event(self, run: Run, now: float) -> None:
        """The pinned run is sending an event by its current variant."""
        run.last_event = now
        if self._idle and self._idle.pop(run.key, None) is not None:
            self._runs[run.key] = run
        self._runs.move_to_end(run.key)
        if run.counted_as != run.assignment.variant:
            self._count(run, run.assignment.variant)

    def release(self, key: RunKey) -> Run | None:
        """Forget a run; None when it was not pinned."""
        run = self._runs.pop(key, None) or self._idle.pop(key, None)
        if run is not None:
            self._count(run, None)
        return run

    def release_idle(self, now: float) -> None:
        """No longer count the runs that have sent nothing for the idle time, and forget the oldest of them."""
        while self._runs:
            oldest = next(iter(self._runs.values()))
            if oldest.last_event + self._idle_timeout > now:
                break
            self._idle[oldest.key] = self._runs.pop(oldest.key)
            self._count(oldest, None)
        while self._idle:
            oldest = next(iter(self._idle.values()))
            if oldest.last_event + self._pin_timeout > now:
                break
            del self._idle[oldest.key]

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
