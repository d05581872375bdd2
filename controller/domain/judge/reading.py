"""A slot as the judge reads it: its rows added up once, for all guards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.domain.ledger import LedgerRow, Slot
from controller.domain.outcomes import Arm
from controller.domain.tallies import UNIT, Tally

#: A conviction rests on this many users and units, unless fewer are active.
LEAST_UNITS = 3

_NOTHING = Tally()


@dataclass(slots=True)
class Reading:
    """One slot, summed.

    Attributes:
        fresh: it is the first slot of its ten seconds, so that streams may restart.
        sums: tallies by arm and stream, of the round's epochs; `present` of the present epoch alone.
    """

    slot: Slot
    fresh: bool
    sums: dict[Arm, dict[str, Tally]]
    present: dict[Arm, dict[str, Tally]]

    def tally(self, arm: Arm, stream: str) -> Tally:
        """What a stream got on an arm."""
        return self.sums[arm].get(stream, _NOTHING)

    def open(self, arm: Arm, gauges: Iterable[str]) -> int:
        """Units open on an arm, over some gauges."""
        counts = self.slot.gauges.open if arm is Arm.CANARY else self.slot.gauges.control_open
        return sum(counts.get(gauge, 0) for gauge in gauges)

    @property
    def least(self) -> int:
        """How many users and units have to fail: three, or as many as are active."""
        active = self.slot.gauges.active
        return LEAST_UNITS if active is None else min(LEAST_UNITS, max(1, active))

    def failing(self, stream: str) -> tuple[str, ...]:
        """Users who failed in a stream; where a client names none, each failed unit stands for a user of its own."""
        named = self.slot.gauges.failing.get(stream)
        if named is not None:
            return named
        failed = self.tally(Arm.CANARY, stream).failed
        return tuple(stand_in(self.slot.seq, at) for at in range(min(LEAST_UNITS, -(-failed // UNIT))))


def stand_in(seq: int, at: int) -> str:
    """A failed unit of a slot that stands for a user whom nobody named; no user's hash looks like it."""
    return f"{seq}?{at}"


def read(slot: Slot, first_epoch: int, *, fresh: bool) -> Reading:
    """Add up a slot's rows; those of an earlier round count nowhere."""
    rows = [row for row in slot.rows if row.epoch >= first_epoch]
    present = [row for row in rows if row.epoch == slot.epoch]
    return Reading(slot, fresh, _sums(rows), _sums(present))


def pooled(tallies: Mapping[str, Tally], streams: Iterable[str]) -> Tally:
    """Several streams together."""
    found = [tallies[stream] for stream in streams if stream in tallies]
    return Tally(sum(tally.failed for tally in found), sum(tally.total for tally in found))


def _sums(rows: Iterable[LedgerRow]) -> dict[Arm, dict[str, Tally]]:
    found: dict[Arm, dict[str, Tally]] = {Arm.CANARY: {}, Arm.CONTROL: {}}
    for _, arm, stream, failed, total in rows:
        of_arm = found[Arm(arm)]
        before = of_arm.get(stream)
        of_arm[stream] = Tally(failed, total) if before is None else Tally(before[0] + failed, before[1] + total)
    return found
