"""A trace of slots that is the same everywhere: made by a small congruential generator, not by chance."""

from collections.abc import Iterator

from controller.domain.ledger import Gauges, LedgerRow, Slot
from controller.domain.metrics import LATER, POOLED, UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.tallies import UNIT


def _numbers(seed: int) -> Iterator[int]:
    while True:
        seed = (1_103_515_245 * seed + 12_345) % 2**31
        yield seed >> 16


def trace(length: int, kind: UnitKind = UnitKind.EVENT, *, seed: int = 8, failing: int = 35) -> list[Slot]:
    """Ten units per type, arm and slot, of which `failing` per 1000 fail; a slot every seven seconds; two epochs."""
    numbers = _numbers(seed)
    slots = []
    for seq in range(1, length + 1):
        epoch = 1 if seq <= length // 2 else 2
        rows = []
        for arm in ("canary", "control"):
            failed = [sum(next(numbers) % 1_000 < failing for _ in range(10)) for _ in CRITICAL_EVENTS]
            rows += [
                LedgerRow(epoch, arm, name, UNIT * n, 10 * UNIT)
                for name, n in zip(CRITICAL_EVENTS, failed, strict=True)
            ]
            if kind is UnitKind.EVENT:
                rows.append(LedgerRow(epoch, arm, POOLED, UNIT * sum(failed), 50 * UNIT))
            else:
                rows.append(LedgerRow(epoch, arm, LATER, next(numbers) % 90 * 10, 10 * UNIT))
        waiting = {name: next(numbers) % 4 for name in CRITICAL_EVENTS}
        gauges = Gauges(open=waiting if kind is not UnitKind.EVENT else {})
        slots.append(Slot(seq, 7_000 * seq, epoch, 1_000, tuple(rows), gauges))
    return slots
