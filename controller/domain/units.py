"""What counts once as evidence: the unit, and the book that a client keeps of its open units.

Events of one run, and runs of one user, fail together; counted one by one they would convict a healthy canary. A
unit's first outcome of an event type weighs 1000 milli-units at once in that type's stream; the failed share of all
its other outcomes enters the stream of later outcomes when the unit closes. First is settled at the attempt.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from controller.domain.outcomes import OutcomeClass
from controller.domain.tallies import UNIT, EvidenceKey, Tally

#: The stream of all outcomes of a unit but the first of each type.
LATER = "later"
#: The stream that adds up all event types; it judges with `unit: event` alone.
POOLED = "pooled"

_NOTHING = Tally()
_UNIT_LIFE_MS = 600_000
_OPEN_LIFE_MS = 60_000
_MOST_OPEN_UNITS = 10_000


class UnitKind(StrEnum):
    """What counts once: a user within ten minutes (default), an agent run, or each event."""

    USER_10M = "user/10m"
    RUN = "run"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class UnitRules:
    """How a live rollout counts: its key, its unit and the event types it judges."""

    rollout: str
    kind: UnitKind
    events: frozenset[str]


@dataclass(slots=True, eq=False)
class _Unit:
    key: Hashable
    rollout: str
    arm: str
    epoch: int
    opened_ms: int
    seen: set[str] = field(default_factory=set)
    firsts: list[Ticket] = field(default_factory=list)
    later: Tally = _NOTHING
    pending: int = 0
    ending: bool = False
    closed: bool = False


@dataclass(slots=True, eq=False)
class Ticket:
    """One attempt's place in the book; `weighs` is false where it is not evidence."""

    key: EvidenceKey
    attempted_ms: int
    weighs: bool
    first: bool = False
    open: bool = False
    settled: bool = False
    unit: _Unit | None = None


class UnitBook:
    """The open units of one client: what each attempt weighs, and what is open.

    Holds at most 10,000 open units; beyond that new units weigh nothing and are counted as `unadmitted`. Live
    records are never evicted, since admitting a unit again would count it twice. Not thread-safe.
    """

    def __init__(self, most_units: int = _MOST_OPEN_UNITS) -> None:
        self._most_units = most_units
        self._units: OrderedDict[Hashable, _Unit] = OrderedDict()
        self._open_firsts: OrderedDict[Ticket, None] = OrderedDict()
        self._tallies: dict[EvidenceKey, Tally] = {}
        self._open: Counter[tuple[str, str, str]] = Counter()
        self.unadmitted = 0
        self.unproved = 0

    def attempt(
        self, rules: UnitRules, *, arm: str, epoch: int, unit_key: Hashable | None, event_type: str, now_ms: int
    ) -> Ticket:
        """Record an attempt before anything is done, and settle at once whether it is its unit's first of its type.

        `unit_key` identifies the user (or the run); None makes the outcome unproved, so that it weighs nothing
        except with `unit: event`.
        """
        ticket = Ticket(EvidenceKey(rules.rollout, epoch, arm, event_type), now_ms, event_type in rules.events)
        if not ticket.weighs:
            return ticket
        if rules.kind is UnitKind.EVENT:
            self._open_first(ticket)
            return ticket
        unit = self._admit(rules, ticket, unit_key)
        if unit is None:
            ticket.weighs = False
        elif event_type in unit.seen:
            unit.pending += 1
            ticket.unit = unit
        else:
            unit.seen.add(event_type)
            unit.firsts.append(ticket)
            ticket.unit = unit
            self._open_first(ticket)
        return ticket

    def settle(self, ticket: Ticket, outcome: OutcomeClass) -> None:
        """Enter the one final outcome of an attempt; a second one is ignored."""
        if ticket.settled or not ticket.weighs:
            return
        ticket.settled = True
        self._no_longer_open(ticket)
        if ticket.first:
            if outcome.in_rate:
                self._add(ticket.key, Tally(UNIT if outcome is OutcomeClass.FAILED else 0, UNIT))
        elif ticket.unit is not None:
            ticket.unit.pending -= 1
            if outcome.in_rate and not ticket.unit.closed:
                ticket.unit.later = ticket.unit.later.plus(Tally(int(outcome is OutcomeClass.FAILED), 1))
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
        """Close units ten minutes after their first attempt; stop counting firsts as open after a minute."""
        while (unit := next(iter(self._units.values()), None)) and now_ms - unit.opened_ms >= _UNIT_LIFE_MS:
            self._close(unit)
        while (ticket := next(iter(self._open_firsts), None)) and now_ms - ticket.attempted_ms >= _OPEN_LIFE_MS:
            self._no_longer_open(ticket)

    def drain(self) -> dict[EvidenceKey, Tally]:
        """The evidence since the last call."""
        drained, self._tallies = self._tallies, {}
        return drained

    def open_units(self) -> Mapping[tuple[str, str, str], int]:
        """Units attempted without an outcome yet, by (rollout, arm, stream): a gauge."""
        return dict(self._open)

    def __len__(self) -> int:
        return len(self._units)

    def _admit(self, rules: UnitRules, ticket: Ticket, unit_key: Hashable | None) -> _Unit | None:
        if unit_key is None:
            self.unproved += 1
            return None
        key = (rules.rollout, ticket.key.arm, unit_key)
        unit = self._units.get(key)
        if unit is not None and ticket.attempted_ms - unit.opened_ms >= _UNIT_LIFE_MS:
            self._close(unit)
            unit = None
        if unit is None:
            if len(self._units) >= self._most_units:
                self.unadmitted += 1
                return None
            unit = _Unit(key, rules.rollout, ticket.key.arm, ticket.key.epoch, ticket.attempted_ms)
            self._units[key] = unit
        return unit

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

    def _close(self, unit: _Unit) -> None:
        if unit.closed:  # an ended unit hears of outcomes that were open at its end, or after its ten minutes
            return
        unit.closed = True
        for ticket in unit.firsts:
            self._no_longer_open(ticket)
        unit.firsts.clear()
        if unit.later.total:
            share = UNIT * unit.later.failed // unit.later.total
            self._add(EvidenceKey(unit.rollout, unit.epoch, unit.arm, LATER), Tally(share, UNIT))
        if self._units.get(unit.key) is unit:
            del self._units[unit.key]

    def _add(self, key: EvidenceKey, tally: Tally) -> None:
        self._tallies[key] = self._tallies.get(key, Tally()).plus(tally)
