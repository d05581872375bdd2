"""Everything that waits to be reported: counts, evidence, details and gauges, and the attempts that are still open."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from controller.client.arms import ArmGauges
from controller.client.assignments import Assignments
from controller.client.attempts import Attempt
from controller.client.privacy import Pseudonyms, clean, without_user
from controller.client.tallying import Cells, CountKey, CountTable
from controller.domain.outcomes import Arm, OutcomeClass
from controller.domain.samples import SHORT_TAG, TAG_LENGTH, ActiveUsers, SampleKey, UserSample
from controller.domain.snapshots import Snapshot
from controller.domain.tallies import EvidenceKey, Proof
from controller.domain.unit_book import UnitBook
from controller.domain.units import Ticket
from controller.wire.reports import ArmRow, OutcomeRow

_MOST_LATENCY_MS = 3_600_000

#: A gauge of open units: rollout, arm, stream.
OpenKey = tuple[str, str, str]


class Own(NamedTuple):
    """This process's outcomes since they were last taken, and what is open now: gauges by rollout, arm and stream."""

    evidence: Mapping[EvidenceKey, Proof]
    gauges: Mapping[tuple[str, str, str], int]


@dataclass(slots=True)
class Taken:
    """What one flush takes; what of it does not fit into a batch is given back."""

    counts: dict[CountKey, Cells] = field(default_factory=dict)
    evidence: dict[EvidenceKey, Proof] = field(default_factory=dict)
    open_units: dict[OpenKey, int] = field(default_factory=dict)
    users: dict[SampleKey, list[str]] = field(default_factory=dict)
    arms: list[ArmRow] = field(default_factory=list)
    #: With the moment at which each was settled.
    outcomes: list[tuple[int, OutcomeRow]] = field(default_factory=list)
    #: More details wait than one batch takes.
    more: bool = False

    def __bool__(self) -> bool:
        parts = (self.counts, self.evidence, self.open_units, self.users, self.arms, self.outcomes, self.more)
        return any(parts)


class Board:
    """The state of a reporter. Its caller holds the lock; times are monotonic milliseconds.

    Args:
        deadline_ms: after which an open attempt has failed.
        most_pending: open attempts at once; beyond it the oldest is settled as interrupted, so that counts stay exact
            and nobody is convicted by our own overload.
        most_outcomes: details kept; beyond it the oldest is dropped and counted.
    """

    def __init__(self, pseudonyms: Pseudonyms, deadline_ms: int, most_pending: int, most_outcomes: int) -> None:
        self.arms = ArmGauges()
        self.counts = CountTable()
        self.book = UnitBook(deadline_ms=deadline_ms)
        self.sample = UserSample()
        self.active = ActiveUsers()
        self.pending: dict[str, Attempt] = {}
        self.settled: Counter[OutcomeClass] = Counter()
        self.attempted = self.late = self.repeated = self.dropped = 0
        self.assignments = Assignments()
        self.revision = 0
        self.applied_ms: int | None = None
        self._outcomes: deque[tuple[int, OutcomeRow]] = deque()
        self.trips = 0
        self._evidence: dict[EvidenceKey, Proof] = {}
        self._own: dict[EvidenceKey, Proof] | None = None
        self._told_open: set[OpenKey] = set()
        self._pseudonyms = pseudonyms
        self._deadline_ms = deadline_ms
        self._most_pending = most_pending
        self._most_outcomes = most_outcomes

    def open(self, attempt: Attempt, rollout: str | None) -> Attempt:
        """Enter an attempt; one under an id that is open already changes nothing."""
        known = self.pending.get(attempt.event_id)
        if known is not None:
            self.repeated += 1
            return known
        if len(self.pending) >= self._most_pending:
            oldest = next(iter(self.pending.values()))
            self.settle(oldest, OutcomeClass.INTERRUPTED, attempt.started_ms, status="overflow")
        self.pending[attempt.event_id] = attempt
        self.attempted += 1
        attempt.ticket = self._ticket(attempt, rollout)
        attempt.counted_in = self.counts.admitted(attempt.series)
        if attempt.counted_in:
            self.counts.attempted(attempt.counted_in, attempt.started_ms)
        return attempt

    def settle(
        self,
        attempt: Attempt,
        outcome: OutcomeClass,
        now_ms: int,
        *,
        status: str = "",
        latency_ms: float | None = None,
        reason: str = "",
    ) -> bool:
        """Enter the one final outcome of an attempt; a later one is counted and changes nothing."""
        if attempt.settled:
            self.late += 1
            return False
        attempt.settled = True
        self.pending.pop(attempt.event_id, None)
        self.settled[outcome] += 1
        delivered = outcome is OutcomeClass.DELIVERED
        latency = _latency(now_ms - attempt.started_ms if delivered and latency_ms is None else latency_ms)
        if attempt.ticket is not None:
            self.book.settle(attempt.ticket, outcome, latency)
        if attempt.counted_in:
            self.counts.settled(attempt.counted_in, outcome, (latency or 0) if delivered else 0, now_ms)
        self._keep(now_ms, self._row(attempt, outcome, clean(status), latency, reason))
        attempt.forget()
        return True

    def expire(self, now_ms: int) -> int:
        """Fail every attempt that is past its deadline; how many there were."""
        expired = 0
        self.book.sweep(now_ms)  # first: what nobody settled in time has not spoken, even though it is settled here
        while (oldest := next(iter(self.pending.values()), None)) and now_ms - oldest.started_ms >= self._deadline_ms:
            reason = f"nothing proved receipt within {self._deadline_ms} ms"
            self.settle(oldest, OutcomeClass.FAILED, now_ms, status="timeout", reason=reason)
            expired += 1
        return expired

    def gather(self) -> None:
        """Bring in what the sweep has closed, so that it is seen to wait."""
        drained = self.book.drain()
        self._add_evidence(drained)
        if self._own is not None:
            _add(self._own, drained)

    def keep_own(self) -> None:
        """From now on evidence is kept for this process's own judging as well."""
        self._own = self._own or {}

    def own(self, now_ms: int) -> Own:
        """The evidence since the last call, and the gauges of now."""
        self.gather()
        if self._own is None:
            return Own({}, {})
        taken, self._own = self._own, {}
        return Own(taken, {**self.book.open_units(), **self.active.gauges(now_ms)})

    def interrupt(self, now_ms: int) -> None:
        """Settle everything that is open, because our own process ends."""
        for attempt in list(self.pending.values()):
            self.settle(attempt, OutcomeClass.INTERRUPTED, now_ms, status="interrupted", reason="the process ended")

    def end_run(self, flag: str, variant: str, run: str) -> None:
        """A run is over: its unit closes where the flag's rollout counts by run."""
        found = self.assignments.run_of(flag, variant)
        if found:
            rollout, arm = found
            self.book.end_run(rollout, arm.value, run)

    def applied(self, snapshot: Snapshot, now_ms: int) -> None:
        """From now on this snapshot's rollouts count."""
        self.assignments = Assignments(snapshot)
        self.revision, self.applied_ms = snapshot.revision, now_ms
        self.arms.applied(snapshot.revision)

    def inherit(self, parent: Board) -> None:
        """Go on with the snapshot of a parent process; what it counted is its own to report."""
        self.assignments, self.revision, self.applied_ms = parent.assignments, parent.revision, parent.applied_ms
        self.arms.revision = parent.revision

    def waiting(self) -> bool:
        """Whether there is something that should not wait for the next heartbeat."""
        return bool(self.counts.rows or self._outcomes or self._evidence)

    def take(self, most_outcomes: int, now_ms: int) -> Taken:
        """Everything up to now, and the oldest details."""
        self.gather()
        evidence, self._evidence = self._evidence, {}
        opened = {**self.book.open_units(), **self.active.gauges(now_ms)}
        # A gauge that has gone back to zero says so once; left out it would stand for ever.
        gauges = {key: opened.get(key, 0) for key in {*opened, *self._told_open}}
        self._told_open = set(opened)
        outcomes = [self._outcomes.popleft() for _ in range(min(most_outcomes, len(self._outcomes)))]
        return Taken(
            counts=self.counts.take(),
            evidence=evidence,
            open_units=gauges,
            users=self.sample.drain(),
            arms=self.arms.take(now_ms),
            outcomes=outcomes,
            more=bool(self._outcomes),
        )

    def give_back(self, rest: Taken) -> None:
        """What did not fit into a batch waits for the next one."""
        self.counts.merge(rest.counts.items())
        self._add_evidence(rest.evidence)
        self._told_open.update(rest.open_units)
        self.sample.give_back(rest.users.items())
        self.arms.give_back(rest.arms)
        self._outcomes.extendleft(reversed(rest.outcomes))
        while len(self._outcomes) > self._most_outcomes:
            self._drop()

    def _ticket(self, attempt: Attempt, rollout: str | None) -> Ticket | None:
        flag, variant, event_type = attempt.series
        found = self.assignments.evidence_of(rollout, flag, variant, attempt.epoch)
        if found is None:
            return None
        rules, arm = found
        if attempt.user:
            self.sample.seen(SampleKey(rules.rollout, attempt.epoch, arm.value), attempt.user[:TAG_LENGTH])
            if arm is Arm.CANARY:
                self.active.seen(rules.rollout, arm.value, attempt.user[:SHORT_TAG], attempt.started_ms)
        return self.book.attempt(
            rules,
            arm=arm.value,
            epoch=attempt.epoch,
            user=attempt.user,
            run=attempt.run,
            event_type=event_type,
            now_ms=attempt.started_ms,
        )

    def _row(
        self, attempt: Attempt, outcome: OutcomeClass, status: str, latency: int | None, reason: str
    ) -> OutcomeRow:
        flag, variant, event_type = attempt.series
        named = attempt.user_id and attempt.user_id in attempt.event_id
        return OutcomeRow(
            flag=flag,
            variant=variant,
            event_type=event_type,
            outcome=outcome.value,
            event_id=self._pseudonyms.of(attempt.event_id) if named else clean(attempt.event_id),
            latency_ms=latency,
            status=status,
            reason=without_user(reason, attempt.user_id),
            user=attempt.user,
            run=attempt.run,
            epoch=attempt.epoch,
        )

    def _keep(self, now_ms: int, row: OutcomeRow) -> None:
        if len(self._outcomes) >= self._most_outcomes:
            self._drop()
        self._outcomes.append((now_ms, row))

    def _drop(self) -> None:
        self._outcomes.popleft()
        self.dropped += 1

    def _add_evidence(self, evidence: Mapping[EvidenceKey, Proof]) -> None:
        _add(self._evidence, evidence)


def _add(known: dict[EvidenceKey, Proof], more: Mapping[EvidenceKey, Proof]) -> None:
    for key, proof in more.items():
        known[key] = known.get(key, Proof()).plus(proof)


def _latency(latency_ms: float | None) -> int | None:
    if latency_ms is None or latency_ms != latency_ms:  # noqa: PLR0124 - not a number, from a broken clock
        return None
    return int(min(max(latency_ms, 0), _MOST_LATENCY_MS))
