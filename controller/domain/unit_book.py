"""The book that a client keeps of its open units: what each attempt weighs as evidence, and what is open."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Hashable, Mapping

from controller.domain.metrics import LATER, REPORTING, Metric, UnitKind
from controller.domain.outcomes import Arm, OutcomeClass
from controller.domain.runs import RunBook
from controller.domain.tallies import UNIT, EvidenceKey, Proof, Tally
from controller.domain.units import OPEN_LIFE_MS, UNIT_LIFE_MS, Ticket, Unit, UnitRules, is_late

_MOST_OPEN_UNITS = 10_000
#: After this long without any outcome a unit is silent; callers say what their delivery deadline is.
_DEADLINE_MS = 5_000


class UnitBook:
    """The open units of one client: what each attempt weighs, and what is open.

    Holds at most 10,000 open units; beyond that new units weigh nothing and are counted as `unadmitted`. Live
    records are never evicted, since admitting a unit again would count it twice. Not thread-safe.
    """

    def __init__(self, most_units: int = _MOST_OPEN_UNITS, deadline_ms: int = _DEADLINE_MS) -> None:
        self._most_units = most_units
        self._deadline_ms = deadline_ms
        self._units: OrderedDict[Hashable, Unit] = OrderedDict()
        self._open_firsts: OrderedDict[Ticket, None] = OrderedDict()
        self._due: deque[tuple[int, Unit | Ticket]] = deque()
        self._proofs: dict[EvidenceKey, Proof] = {}
        self._open: Counter[tuple[str, str, str]] = Counter()
        self._runs = RunBook(self._add, most_units)
        self._unadmitted = 0
        self.unproved = 0

    def attempt(  # noqa: PLR0913 - the facts of one attempt, all keyword-only
        self, rules: UnitRules, *, arm: str, epoch: int, user: str, run: str, event_type: str, now_ms: int
    ) -> Ticket:
        """Record an attempt before anything is done, and settle at once whether it is its unit's first of its type.

        `user` and `run` are keyed hashes; without the one that the unit is, the outcome is unproved and weighs nothing
        (except with `unit: event`). A run whose user is not known stands for a user of its own.
        """
        key = EvidenceKey(rules.rollout, epoch, arm, event_type)
        ticket = Ticket(key, rules, now_ms, user or run, weighs=event_type in rules.events)
        if not ticket.weighs:
            return ticket
        if rules.kind is UnitKind.EVENT:
            self._open_first(ticket)
            self._due.append((now_ms + self._deadline_ms, ticket))
        else:
            self._enter(ticket, run if rules.kind is UnitKind.RUN else user, event_type)
        if ticket.weighs:
            ticket.run = self._runs.attempt(rules, ticket, run, event_type, ticket.unit)
        return ticket

    def settle(self, ticket: Ticket, outcome: OutcomeClass, latency_ms: float | None = None) -> None:
        """Enter the one final outcome of an attempt; a second one is ignored."""
        if ticket.settled or not ticket.weighs:
            return
        ticket.settled = True
        self._no_longer_open(ticket)
        self._speak(ticket.unit or ticket)
        if ticket.first:
            self._enter_first(ticket, outcome, latency_ms)
        elif ticket.unit is not None:
            self._enter_later(ticket.rules, ticket.unit, outcome, latency_ms)
        self._enter_leaving(ticket, outcome)
        if ticket.run is not None:
            self._runs.settle(ticket.run, ticket.key.stream, outcome)
        if ticket.unit is not None and ticket.unit.ending and ticket.unit.pending == 0:
            self._close(ticket.unit)

    def end_run(self, rollout: str, arm: str, unit_key: Hashable) -> None:
        """The run is over: its unit closes as soon as its last pending outcome is known."""
        unit = self._units.get((rollout, arm, unit_key))
        if unit is not None:
            unit.ending = True
            if unit.pending == 0:
                self._close(unit)

    def sweep(self, now_ms: int) -> None:
        """Close units ten minutes after their first attempt; stop counting firsts as open after a minute.

        What has not spoken by its deadline is silent, and runs that have not ended by theirs have failed.
        """
        self._runs.sweep(now_ms)
        while self._due and self._due[0][0] <= now_ms:
            self._fall_silent(self._due.popleft()[1])
        while (unit := next(iter(self._units.values()), None)) and now_ms - unit.opened_ms >= UNIT_LIFE_MS:
            self._close(unit)
        while (ticket := next(iter(self._open_firsts), None)) and now_ms - ticket.attempted_ms >= OPEN_LIFE_MS:
            self._no_longer_open(ticket)

    def drain(self) -> dict[EvidenceKey, Proof]:
        """The evidence since the last call."""
        drained, self._proofs = self._proofs, {}
        return drained

    def open_units(self) -> Mapping[tuple[str, str, str], int]:
        """Units attempted without an outcome yet, by (rollout, arm, stream): a gauge."""
        return {**self._open, **self._runs.open_runs()}

    @property
    def unadmitted(self) -> int:
        """Units and runs that the full book could not take."""
        return self._unadmitted + self._runs.unadmitted

    def __len__(self) -> int:
        return len(self._units)

    def _enter(self, ticket: Ticket, unit_key: str, event_type: str) -> None:
        unit = self._admit(ticket, unit_key)
        if unit is None:
            ticket.weighs = False
            return
        ticket.unit = unit
        if event_type in unit.seen:
            unit.pending += 1
        else:
            unit.seen.add(event_type)
            unit.firsts.append(ticket)
            self._open_first(ticket)

    def _admit(self, ticket: Ticket, unit_key: str) -> Unit | None:
        if not unit_key:
            self.unproved += 1
            return None
        rollout, epoch, arm, _ = ticket.key
        key = (rollout, arm, unit_key)
        unit = self._units.get(key)
        if unit is not None and ticket.attempted_ms - unit.opened_ms >= UNIT_LIFE_MS:
            self._close(unit)
            unit = None
        if unit is None:
            if len(self._units) >= self._most_units:
                self._unadmitted += 1
                return None
            unit = self._units[key] = Unit(key, rollout, arm, epoch, ticket.attempted_ms, ticket.user)
            self._due.append((ticket.attempted_ms + self._deadline_ms, unit))
        return unit

    def _enter_first(self, ticket: Ticket, outcome: OutcomeClass, latency_ms: float | None) -> None:
        if not outcome.in_rate:
            return
        self._add(ticket.key, _whole(failed=outcome is OutcomeClass.FAILED), ticket.user)
        for family in ticket.rules.within:
            key = ticket.key._replace(stream=family.stream(ticket.key.stream))
            self._add(key, _whole(failed=is_late(outcome, latency_ms, family)), ticket.user)

    def _enter_later(self, rules: UnitRules, unit: Unit, outcome: OutcomeClass, latency_ms: float | None) -> None:
        unit.pending -= 1
        if outcome.in_rate and not unit.closed:
            unit.add_later("", failed=outcome is OutcomeClass.FAILED)
            for family in rules.within:
                unit.add_later(family.prefix, failed=is_late(outcome, latency_ms, family))

    def _enter_leaving(self, ticket: Ticket, outcome: OutcomeClass) -> None:
        abandoned, interrupted = outcome is OutcomeClass.ABANDONED, outcome is OutcomeClass.INTERRUPTED
        unit = ticket.unit
        if unit is None:
            self._add(ticket.key._replace(stream=Metric.ABANDONED.value), _whole(failed=abandoned), "")
            self._add(ticket.key._replace(stream=Metric.INTERRUPTED.value), _whole(failed=interrupted), "")
        elif not unit.closed:
            unit.outcomes += 1
            unit.abandoned += abandoned
            unit.interrupted += interrupted

    def _speak(self, unit: Unit | Ticket) -> None:
        if not unit.told:
            unit.told = True
            self._report(unit, failed=False)

    def _fall_silent(self, unit: Unit | Ticket) -> None:
        if not unit.told:
            unit.told = True
            self._report(unit, failed=True)

    def _report(self, unit: Unit | Ticket, *, failed: bool) -> None:
        key = unit.evidence_key(REPORTING) if isinstance(unit, Unit) else unit.key._replace(stream=REPORTING)
        if key.arm == Arm.CANARY:
            self._add(key, _whole(failed=failed), "")

    def _open_first(self, ticket: Ticket) -> None:
        ticket.first = ticket.open = True
        self._open[ticket.key.rollout, ticket.key.arm, ticket.key.stream] += 1
        self._open_firsts[ticket] = None

    def _no_longer_open(self, ticket: Ticket) -> None:
        if ticket.open:
            ticket.open = False
            del self._open_firsts[ticket]
            gauge = (ticket.key.rollout, ticket.key.arm, ticket.key.stream)
            self._open[gauge] -= 1
            if not self._open[gauge]:
                del self._open[gauge]

    def _close(self, unit: Unit) -> None:
        if unit.closed:  # an ended unit hears of outcomes that were open at its end, or after its ten minutes
            return
        unit.closed = True
        for ticket in unit.firsts:
            self._no_longer_open(ticket)
        unit.firsts.clear()
        for prefix, later in unit.later.items():
            self._add(unit.evidence_key(prefix + LATER), Tally(UNIT * later.failed // later.total, UNIT), unit.user)
        if unit.outcomes:
            self._add(unit.evidence_key(Metric.ABANDONED.value), unit.share_of(unit.abandoned), "")
            self._add(unit.evidence_key(Metric.INTERRUPTED.value), unit.share_of(unit.interrupted), "")
        if self._units.get(unit.key) is unit:
            del self._units[unit.key]

    def _add(self, key: EvidenceKey, tally: Tally, user: str) -> None:
        proof = Proof(tally, (user,) if user and tally.failed else ())
        known = self._proofs.get(key)
        self._proofs[key] = proof if known is None else known.plus(proof)


def _whole(*, failed: bool) -> Tally:
    """One unit."""
    return Tally(UNIT if failed else 0, UNIT)
