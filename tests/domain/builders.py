"""Short ways to say what a test of the domain is about; everything else takes a plain default."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from hypothesis import settings

from controller.domain.judge.constants import Constants, delivery_constants
from controller.domain.judge.findings import Analysis
from controller.domain.judge.judge import judge
from controller.domain.judge.state import JudgeState, fresh_state
from controller.domain.ledger import LedgerRow, Slot
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.plans import Plan, Stage
from controller.domain.rollouts import Rollout
from controller.domain.tallies import UNIT
from controller.domain.units import UnitKind

#: A moment in November 2023.
NOW = 1_700_000_000_000
MINUTE = 60_000
STARTED = CRITICAL_EVENTS[0]

#: Property tests give the same examples on each machine and leave nothing behind.
steady = settings(max_examples=40, deadline=None, derandomize=True, database=None)
briefly = settings(steady, max_examples=20)


@cache
def constants(
    floor: int = 960, kind: UnitKind = UnitKind.USER_10M, types: tuple[str, ...] = CRITICAL_EVENTS
) -> Constants:
    return delivery_constants(floor, kind, types)


def row(failed: int, total: int, stream: str = STARTED, *, arm: str = "canary", epoch: int = 1) -> LedgerRow:
    """A ledger row of whole units."""
    return LedgerRow(epoch, arm, stream, failed * UNIT, total * UNIT)


def rows_for(
    streams: Iterable[str], failed: int, total: int, *, arm: str = "canary", epoch: int = 1
) -> tuple[LedgerRow, ...]:
    return tuple(row(failed, total, stream, arm=arm, epoch=epoch) for stream in streams)


def slot(
    seq: int, *rows: LedgerRow, closed_ms: int | None = None, epoch: int = 1, waiting: Mapping[str, int] | None = None
) -> Slot:
    """A slot that closes ten seconds after the one before it, unless told otherwise."""
    closed = 10_000 * seq if closed_ms is None else closed_ms
    return Slot(seq, closed, epoch, tuple(rows), dict(waiting or {}))


class Judged:
    """A judge with its memory, fed by rows."""

    def __init__(self, frozen: Constants | None = None) -> None:
        self.constants = frozen or constants()
        self.state: JudgeState = fresh_state(self.constants, 0)

    def after(self, *rows: LedgerRow, concurrent_control: bool = True, **slot_fields: Any) -> Analysis:
        """The analysis of the next slot, which holds these rows."""
        following = slot(self.state.seq + 1, *rows, **slot_fields)
        self.state, analysis = judge(self.constants, self.state, following, concurrent_control=concurrent_control)
        return analysis


def plan(*weights: int, **fields: Any) -> Plan:
    """A plan whose stages bake for ten minutes each; 1 %, 10 % and 100 % unless told otherwise."""
    return Plan(stages=tuple(Stage(weight, 10 * MINUTE) for weight in weights or (100, 1_000, 10_000)), **fields)


def rollout(**fields: Any) -> Rollout:
    """A draft."""
    return Rollout(**{"key": "r", "flag_key": "f", "control": "legacy", "canary": "unified", "plan": plan(), **fields})
