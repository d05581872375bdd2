"""Evidence in the order of its arrival: slots that the judge reads, one closed by each evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from controller.domain.outcomes import Arm
from controller.domain.tallies import Tally
from controller.domain.units import LATER, POOLED, UnitKind

#: The judge may restart a stream once in this many milliseconds.
SLOT_MS = 10_000


@dataclass(frozen=True, slots=True, order=True)
class LedgerRow:
    """What one slot holds for an evidence epoch, an arm and a stream, in milli-units."""

    epoch: int
    arm: str
    stream: str
    failed: int
    total: int


@dataclass(frozen=True, slots=True)
class Slot:
    """One step of evidence.

    Attributes:
        seq: 1, 2, 3 ... within the rollout, without gaps.
        closed_ms: when the evaluation closed it.
        epoch: the evidence epoch then in force; promotion counts rows of this epoch alone.
        rows: sorted; rows of older epochs still count against the canary.
        open: canary units attempted without an outcome yet, by stream.
    """

    seq: int
    closed_ms: int
    epoch: int
    rows: tuple[LedgerRow, ...] = ()
    open: Mapping[str, int] = field(default_factory=dict)

    @property
    def boundary(self) -> int:
        """The number of the 10-second interval it was closed in."""
        return self.closed_ms // SLOT_MS

    def tally(self, arm: Arm, stream: str, epoch: int | None = None) -> Tally:
        """The sum of the rows of an arm and stream, of all epochs or of one."""
        found = [r for r in self.rows if r.arm == arm and r.stream == stream and epoch in (None, r.epoch)]
        return Tally(sum(r.failed for r in found), sum(r.total for r in found))

    def open_in(self, stream: str) -> int:
        """Units open in a stream; the pooled stream waits for those of all event types."""
        if stream == POOLED:
            return sum(count for name, count in self.open.items() if name != POOLED)
        return self.open.get(stream, 0)


#: Above this share there is no concurrent control to speak of.
_MOST_COMPARED = 9_500


def has_concurrent_control(weight: int) -> bool:
    """Whether a share (in parts of 10,000) leaves a control to compare with."""
    return weight <= _MOST_COMPARED


def streams_of(kind: UnitKind, events: Iterable[str]) -> tuple[str, ...]:
    """The streams that judge: each event type, and the later outcomes or (by event) all types pooled."""
    return (*events, POOLED if kind is UnitKind.EVENT else LATER)


def ledger_rows(tallies: Mapping[tuple[int, str, str], Tally], kind: UnitKind) -> tuple[LedgerRow, ...]:
    """Sorted rows of (epoch, arm, stream) tallies; by event, the pooled stream is added up here."""
    merged = dict(tallies)
    if kind is UnitKind.EVENT:
        for (epoch, arm, _), tally in tallies.items():
            key = (epoch, arm, POOLED)
            merged[key] = merged.get(key, Tally()).plus(tally)
    return tuple(sorted(LedgerRow(*key, *tally) for key, tally in merged.items() if tally.total))
