"""What counts once as evidence: the unit, and how a live rollout counts.

Events of one run, and runs of one user, fail together; counted one by one they would convict a healthy canary. A
unit's first outcome of an event type weighs 1000 milli-units at once in that type's stream; the failed share of all
its other outcomes enters the stream of later outcomes when the unit closes. First is settled at the attempt.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from controller.domain.metrics import REPORTING, Family, Metric, UnitKind
from controller.domain.outcomes import OutcomeClass
from controller.domain.tallies import UNIT, EvidenceKey, Tally

#: How long a unit lives, from its first attempt.
UNIT_LIFE_MS = 600_000
#: How long a first outcome that has not come counts as open.
OPEN_LIFE_MS = 60_000

_NOTHING = Tally()
_LEAVING = ((Metric.ABANDONED, OutcomeClass.ABANDONED), (Metric.INTERRUPTED, OutcomeClass.INTERRUPTED))


@dataclass(frozen=True, slots=True)
class UnitRules:
    """How a live rollout counts.

    Attributes:
        events: the event types it judges.
        within: the latency deadlines that it judges besides delivery.
        runs: what makes a run complete; None where that is not judged.
    """

    rollout: str
    kind: UnitKind
    events: frozenset[str]
    within: tuple[Family, ...] = ()
    runs: Family | None = None


@dataclass(slots=True, eq=False)
class Unit:
    """One open unit of a book.

    Attributes:
        user: a short keyed hash, empty where none is known.
        seen: the event types (and `run`) that have had their first attempt.
        later: failed and all later outcomes, by the prefix of their family.
        outcomes, abandoned, interrupted: how many of its outcomes there were, of any kind and of these.
        told: it has spoken, or was counted as silent.
    """

    key: Hashable
    rollout: str
    arm: str
    epoch: int
    opened_ms: int
    user: str
    seen: set[str] = field(default_factory=set)
    firsts: list[Ticket] = field(default_factory=list)
    later: dict[str, Tally] = field(default_factory=dict)
    outcomes: int = 0
    abandoned: int = 0
    interrupted: int = 0
    pending: int = 0
    told: bool = False
    ending: bool = False
    closed: bool = False

    def evidence_key(self, stream: str) -> EvidenceKey:
        """What its evidence of a stream is counted under."""
        return EvidenceKey(self.rollout, self.epoch, self.arm, stream)

    def add_later(self, prefix: str, *, failed: bool) -> None:
        """One more of its later outcomes."""
        self.later[prefix] = self.later.get(prefix, _NOTHING).plus(Tally(int(failed), 1))

    def share_of(self, count: int) -> Tally:
        """A part of its outcomes, as milli-units."""
        return Tally(UNIT * count // self.outcomes, UNIT)


@dataclass(slots=True, eq=False)
class Ticket:
    """One attempt's place in the book; `weighs` is false where it is not evidence.

    Attributes:
        first: it is its unit's first of its type.
        told: (of an attempt that is a unit by itself) it has spoken, or was counted as silent.
        run: the run that it belongs to, where runs are judged.
    """

    key: EvidenceKey
    rules: UnitRules
    attempted_ms: int
    user: str
    weighs: bool
    first: bool = False
    open: bool = False
    settled: bool = False
    told: bool = False
    unit: Unit | None = None
    run: Run | None = None


@dataclass(slots=True, eq=False)
class Run:
    """One run whose end is waited for.

    Attributes:
        first: it is its unit's first run, or a unit by itself.
        began: the opening event was delivered.
        failed: what became of the closing event; None as long as that is not known.
    """

    key: Hashable
    family: Family
    rollout: str
    arm: str
    epoch: int
    user: str
    opened_ms: int
    first: bool
    unit: Unit | None
    began: bool = False
    failed: bool | None = None
    over: bool = False


def is_late(outcome: OutcomeClass, latency_ms: float | None, family: Family) -> bool:
    """Whether an outcome misses a latency deadline; a failed one does, one without a measured latency does not."""
    if outcome is OutcomeClass.FAILED:
        return True
    return latency_ms is not None and latency_ms > family.deadline_ms


def by_event(
    rules: UnitRules, event_type: str, outcome: OutcomeClass, latency_ms: float | None
) -> list[tuple[str, bool]]:
    """What one outcome that is a unit by itself enters: streams, and whether it failed there."""
    entered = [(REPORTING, False)]
    entered += [(name.value, outcome is cls) for name, cls in _LEAVING]
    if outcome.in_rate:
        entered.append((event_type, outcome is OutcomeClass.FAILED))
        entered += [(family.stream(event_type), is_late(outcome, latency_ms, family)) for family in rules.within]
    return entered
