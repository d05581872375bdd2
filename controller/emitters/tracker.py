"""Whether runs come to their end: completeness, and events that come out of order."""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from controller.emitters.outcomes import DeliveryAttempt, DeliveryOutcome, OutcomeClass
from controller.emitters.recorder import DeliveryRecorder
from controller.emitters.runs import RunKey
from controller.emitters.types import RUN_END, RUN_ERROR, RUN_START

__all__ = ["IncompleteRun", "OrderViolation", "RunEnd", "RunTracker", "RunTrackerCounters"]

logger = logging.getLogger(__name__)

_OUTSIDE_THE_RATE: Final = (OutcomeClass.ABANDONED, OutcomeClass.INTERRUPTED)


class RunEnd(StrEnum):
    """How a run ended."""

    #: Its agent_completed was delivered.
    COMPLETE = "complete"
    #: It fell silent, was forgotten because there were too many, or its agent_completed was not delivered.
    INCOMPLETE = "incomplete"
    #: It ended with agent_error: terminal, and counted apart.
    ERRORED = "errored"
    #: It did not complete and held an event of a user who had left; outside the rate.
    ABANDONED = "abandoned"
    #: It did not complete and held an event that our own process had ended; outside the rate.
    INTERRUPTED = "interrupted"


class OrderViolation(StrEnum):
    """An event that should not have come then."""

    COMPLETED_WITHOUT_STARTED = "completed_without_started"
    TOOL_COMPLETED_WITHOUT_EXECUTING = "tool_completed_without_executing"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class IncompleteRun:
    """An alert: the user never saw the end of this run."""

    user_id: str
    run_id: str
    #: The variant that carried its last event; that one is charged.
    variant: str
    last_event: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunTrackerCounters:
    """What has become of all runs so far."""

    open_runs: int
    #: By (variant, end).
    ends: dict[tuple[str, RunEnd], int]
    #: By (variant, violation).
    violations: dict[tuple[str, OrderViolation], int]
    #: Runs forgotten because there were too many; each is an incomplete one as well.
    evicted: int
    alert_errors: int

    def completeness(self, variant: str) -> float | None:
        """Complete runs / (complete + incomplete) of a variant, or None while there is neither."""
        complete = self.ends.get((variant, RunEnd.COMPLETE), 0)
        judged = complete + self.ends.get((variant, RunEnd.INCOMPLETE), 0)
        return complete / judged if judged else None


class _OpenRun:
    __slots__ = ("completing", "held", "last_event", "seen_at", "started", "tools", "variant")

    def __init__(self, now: float) -> None:
        self.variant = ""
        self.started = self.completing = False
        #: Tools that were called and have not answered.
        self.tools = 0
        #: The class of an event that stayed outside the rate, if there was one.
        self.held: OutcomeClass | None = None
        self.last_event = ""
        self.seen_at = now


class RunTracker:
    """Follows runs from agent_started to the delivery of agent_completed.

    It is this process's own view, for alerts and for the release of pins: the controller derives run completeness from
    the reported outcomes, and judges by that. Used from one event loop; all calls are O(1).

    Args:
        deadline: seconds without an event after which a run is given up as incomplete.
        max_open: runs followed at once; beyond it the one that was silent for longest is given up as incomplete.
        clock: monotonic seconds.
        on_incomplete: called with each `IncompleteRun`; one that raises is counted and called again next time.

    Raises:
        ValueError: a bound makes no sense.
    """

    def __init__(
        self,
        *,
        deadline: float = 300.0,
        max_open: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
        on_incomplete: Callable[[IncompleteRun], object] | None = None,
    ) -> None:
        if deadline <= 0:
            raise ValueError(f"deadline must be more than 0 seconds, not {deadline}")
        if max_open < 1:
            raise ValueError(f"max_open must be at least 1, not {max_open}")
        self._deadline = deadline
        self._max_open = max_open
        self._clock = clock
        self._on_incomplete = on_incomplete
        self._on_end: tuple[Callable[[str, str, RunEnd], None], ...] = ()
        self._runs: OrderedDict[RunKey, _OpenRun] = OrderedDict()
        self._ends: Counter[tuple[str, RunEnd]] = Counter()
        self._violations: Counter[tuple[str, OrderViolation]] = Counter()
        self._alert_errors = 0
        #: Runs forgotten because there were too many.
        self.evicted = 0

    @property
    def open_runs(self) -> int:
        """Runs that have begun and not ended."""
        return len(self._runs)

    def attach(self, recorder: DeliveryRecorder) -> None:
        """Follow the runs of everything that this recorder records."""
        recorder.add_listener(self)

    def on_end(self, call: Callable[[str, str, RunEnd], None]) -> None:
        """Call with user id, run id and how it ended, whenever a run ends."""
        self._on_end = (*self._on_end, call)

    def observe(self, event_type: str, user_id: str, run_id: str, variant: str = "") -> None:
        """An event that was delivered, for use without a recorder."""
        self._attempted(event_type, (user_id, run_id), variant)
        self._settled(event_type, (user_id, run_id), OutcomeClass.DELIVERED)

    def attempted(self, attempt: DeliveryAttempt) -> None:
        """See `DeliveryListener`. Events without a run are not followed."""
        if attempt.run_id is not None:
            self._attempted(attempt.event_type, (attempt.user_id, attempt.run_id), attempt.variant)

    def settled(self, outcome: DeliveryOutcome) -> None:
        """See `DeliveryListener`."""
        if outcome.run_id is not None:
            self._settled(outcome.event_type, (outcome.user_id, outcome.run_id), outcome.outcome_class)

    def sweep(self, now: float | None = None) -> bool:
        """Give up the runs that have been silent for the deadline. True while runs are open."""
        moment = self._clock() if now is None else now
        while self._runs:
            key, run = next(iter(self._runs.items()))
            if run.seen_at + self._deadline > moment:
                return True
            self._give_up(key, run, f"no event for {self._deadline:g} s")
        return False

    def counters(self) -> RunTrackerCounters:
        """All counts up to now."""
        return RunTrackerCounters(
            self.open_runs, dict(self._ends), dict(self._violations), self.evicted, self._alert_errors
        )

    def _attempted(self, event_type: str, key: RunKey, variant: str) -> None:
        run = self._runs.get(key)
        if run is None:
            run = self._opened(key)
        run.variant, run.last_event, run.seen_at = variant, event_type, self._clock()
        self._runs.move_to_end(key)
        self._check_order(event_type, run)

    def _opened(self, key: RunKey) -> _OpenRun:
        if len(self._runs) >= self._max_open:
            self.evicted += 1
            oldest, forgotten = next(iter(self._runs.items()))
            self._give_up(oldest, forgotten, f"more than {self._max_open} runs were open")
        run = self._runs[key] = _OpenRun(self._clock())
        return run

    def _check_order(self, event_type: str, run: _OpenRun) -> None:
        if event_type == RUN_START:
            if run.started:
                self._violated(run, OrderViolation.DUPLICATE)
            run.started = True
        elif event_type == RUN_END:
            if run.completing:
                self._violated(run, OrderViolation.DUPLICATE)
            elif not run.started:
                self._violated(run, OrderViolation.COMPLETED_WITHOUT_STARTED)
            run.completing = True
        elif event_type == "tool_executing":
            run.tools += 1
        elif event_type == "tool_completed":
            self._tool_completed(run)

    def _tool_completed(self, run: _OpenRun) -> None:
        if run.tools:
            run.tools -= 1
        else:
            self._violated(run, OrderViolation.TOOL_COMPLETED_WITHOUT_EXECUTING)

    def _settled(self, event_type: str, key: RunKey, outcome: OutcomeClass) -> None:
        run = self._runs.get(key)
        if run is None:
            return  # it has ended already
        if event_type == RUN_ERROR:
            self._end(key, run, RunEnd.ERRORED)
        elif event_type == RUN_END and outcome is OutcomeClass.DELIVERED:
            self._end(key, run, RunEnd.COMPLETE)
        elif outcome in _OUTSIDE_THE_RATE:
            run.held = outcome
            if event_type == RUN_END:
                self._end(key, run, RunEnd(outcome.value))
        elif event_type == RUN_END:
            self._give_up(key, run, f"{RUN_END} was not delivered")

    def _give_up(self, key: RunKey, run: _OpenRun, reason: str) -> None:
        if run.held is not None:
            self._end(key, run, RunEnd(run.held.value))
            return
        self._end(key, run, RunEnd.INCOMPLETE)
        if self._on_incomplete is None:
            return
        try:
            self._on_incomplete(IncompleteRun(*key, run.variant, run.last_event, reason))
        except Exception:
            self._alert_errors += 1
            if self._alert_errors == 1:
                logger.exception("on_incomplete raised; it is counted and tracking goes on")

    def _end(self, key: RunKey, run: _OpenRun, end: RunEnd) -> None:
        self._runs.pop(key, None)
        self._ends[run.variant, end] += 1
        for call in self._on_end:
            call(*key, end)

    def _violated(self, run: _OpenRun, violation: OrderViolation) -> None:
        self._violations[run.variant, violation] += 1
