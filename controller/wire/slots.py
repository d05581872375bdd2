"""Stored slots as the judge reads them: what replay and backtest begin with."""

from __future__ import annotations

from controller.domain.ledger import LedgerRow, Slot, gauges_from
from controller.wire.api.judging import SlotView


def slot_of(stored: SlotView) -> Slot:
    """A slot as the judge reads it."""
    rows = tuple(sorted(LedgerRow(*row) for row in stored.rows))
    return Slot(stored.seq, stored.closed_ms, stored.epoch, stored.weight, rows, gauges_from(stored.gauges))
