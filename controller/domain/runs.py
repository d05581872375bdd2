"""Complete runs: one whose opening event was delivered must see its closing event delivered within the deadline."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable

from controller.domain.metrics import RUN, UnitKind
from controller.domain.outcomes import OutcomeClass
from controller.domain.tallies import UNIT, EvidenceKey, Tally
from controller.domain.units import Run, Ticket, Unit, UnitRules

_MOST_RUNS = 10_000

#: How evidence is added: key, tally, user.
Add = Callable[[EvidenceKey, Tally, str], None]


class RunBook:
    """The runs of one client that are under way, at most 10,000; what a full book cannot take is counted.

    A run is outside the sample when its opening event was not delivered (that is charged elsewhere), or when any of
    its outcomes was abandoned or interrupted. Not thread-safe.
    """

    def __init__(self, add: Add, most_runs: int = _MOST_RUNS) -> None:
        self._add = add
        self._most_runs = most_runs
        self._runs: dict[Hashable, Run] = {}
        self._queues: dict[int, OrderedDict[Hashable, Run]] = {}  # by deadline, so that the oldest is at hand
        self._open: Counter[tuple[str, str, str]] = Counter()
        self.unadmitted = 0

    def attempt(self, rules: UnitRules, ticket: Ticket, run_key: str, event_type: str, unit: Unit | None) -> Run | None:
        """The run that an attempt belongs to, begun by its opening event; None where runs are not judged."""
        family = rules.runs
        if family is None or not run_key:
            return None
        key = (ticket.key.rollout, ticket.key.arm, run_key)
        run = self._runs.get(key)
        if run is not None or event_type != family.opens:
            return run
        if len(self._runs) >= self._most_runs:
            self.unadmitted += 1
            return None
        marker = family.stream(RUN)
        first = rules.kind is UnitKind.EVENT or (unit is not None and marker not in unit.seen)
        if unit is not None:
            unit.seen.add(marker)
        _, epoch, arm, _ = ticket.key
        run = Run(key, family, rules.rollout, arm, epoch, ticket.user, ticket.attempted_ms, first, unit)
        self._runs[key] = run
        self._queues.setdefault(family.deadline_ms, OrderedDict())[key] = run
        if first:
            self._open[self._gauge(run)] += 1
        return run

    def settle(self, run: Run, event_type: str, outcome: OutcomeClass) -> None:
        """An event of a run has its outcome."""
        if run.over:
            return
        if not outcome.in_rate:
            self._end(run)
        elif event_type == run.family.opens:
            run.began = outcome is OutcomeClass.DELIVERED
            if not run.began:
                self._end(run)
            elif run.failed is not None:
                self._conclude(run, failed=run.failed)
        elif event_type == run.family.closes:
            run.failed = outcome is OutcomeClass.FAILED
            if run.began:
                self._conclude(run, failed=run.failed)

    def sweep(self, now_ms: int) -> None:
        """Fail what is past its deadline."""
        for deadline_ms, queue in list(self._queues.items()):
            while (run := next(iter(queue.values()), None)) and now_ms - run.opened_ms >= deadline_ms:
                if run.began:
                    self._conclude(run, failed=True)
                else:
                    self._end(run)
            if not queue:
                del self._queues[deadline_ms]

    def open_runs(self) -> dict[tuple[str, str, str], int]:
        """First runs without an end yet, by (rollout, arm, stream): a gauge."""
        return dict(self._open)

    def __len__(self) -> int:
        return len(self._runs)

    def _conclude(self, run: Run, *, failed: bool) -> None:
        self._end(run)
        if run.first:
            key = EvidenceKey(run.rollout, run.epoch, run.arm, run.family.stream(RUN))
            self._add(key, Tally(UNIT if failed else 0, UNIT), run.user)
        elif run.unit is not None and not run.unit.closed:
            run.unit.add_later(run.family.prefix, failed=failed)

    def _end(self, run: Run) -> None:
        run.over = True
        del self._runs[run.key]
        del self._queues[run.family.deadline_ms][run.key]
        if run.first:
            gauge = self._gauge(run)
            self._open[gauge] -= 1
            if not self._open[gauge]:
                del self._open[gauge]

    @staticmethod
    def _gauge(run: Run) -> tuple[str, str, str]:
        return run.rollout, run.arm, run.family.stream(RUN)
