"""Short ways to say what a test of the domain is about; everything else takes a plain default."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from hypothesis import settings

from controller.domain.guards import Guard
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Analysis
from controller.domain.judge.freeze import freeze
from controller.domain.judge.judge import judge
from controller.domain.judge.state import JudgeState, Track, fresh_state
from controller.domain.ledger import Gauges, LedgerRow, Slot
from controller.domain.metrics import UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.plans import Plan, Stage
from controller.domain.rollouts import Rollout
from controller.domain.tallies import UNIT

#: A moment in November 2023.
NOW = 1_700_000_000_000
MINUTE = 60_000
STARTED = CRITICAL_EVENTS[0]

#: Property tests give the same examples on each machine and leave nothing behind.
steady = settings(max_examples=40, deadline=None, derandomize=True, database=None)
briefly = settings(steady, max_examples=20)


#: A share with a control to compare with, and one without.
TEN_PERCENT, NEARLY_ALL = 1_000, 9_600


@cache
def constants(
    floor: int = 960, kind: UnitKind = UnitKind.USER_10M, types: tuple[str, ...] = CRITICAL_EVENTS
) -> Constants:
    """The delivery guard alone, with a floor in permille."""
    return frozen(Guard("delivery", floor_ppm=1_000 * floor), unit=kind, events=types)


def frozen(*guards: Guard, **fields: Any) -> Constants:
    """The constants of a plan with these guards."""
    return freeze(plan(guards=guards, **fields) if guards else plan(**fields), {})


def row(failed: int, total: int, stream: str = STARTED, *, arm: str = "canary", epoch: int = 1) -> LedgerRow:
    """A ledger row of whole units."""
    return LedgerRow(epoch, arm, stream, failed * UNIT, total * UNIT)


def rows_for(
    streams: Iterable[str], failed: int, total: int, *, arm: str = "canary", epoch: int = 1
) -> tuple[LedgerRow, ...]:
    return tuple(row(failed, total, stream, arm=arm, epoch=epoch) for stream in streams)


def slot(
    seq: int,
    *rows: LedgerRow,
    closed_ms: int | None = None,
    epoch: int = 1,
    weight: int = TEN_PERCENT,
    waiting: Mapping[str, int] | None = None,
    **gauges: Any,
) -> Slot:
    """A slot that closes ten seconds after the one before it, unless told otherwise."""
    closed = 10_000 * seq if closed_ms is None else closed_ms
    return Slot(seq, closed, epoch, weight, tuple(rows), Gauges(open=dict(waiting or {}), **gauges))


class Judged:
    """A judge with its memory, fed by rows."""

    def __init__(self, frozen: Constants | None = None) -> None:
        self.constants = frozen or constants()
        self.state: JudgeState = fresh_state(self.constants)

    def after(self, *rows: LedgerRow, **slot_fields: Any) -> Analysis:
        """The analysis of the next slot, which holds these rows."""
        following = slot(self.state.seq + 1, *rows, **slot_fields)
        self.state, analysis = judge(self.constants, self.state, following)
        return analysis

    def track(self, stream: str = STARTED) -> Track:
        """What is remembered of a stream of the first guard."""
        return self.state.canary[0][stream]


def plan(*weights: int, **fields: Any) -> Plan:
    """A plan whose stages bake for ten minutes each; 1 %, 10 % and 100 % unless told otherwise."""
    return Plan(stages=tuple(Stage(weight, 10 * MINUTE) for weight in weights or (100, 1_000, 10_000)), **fields)


def rollout(**fields: Any) -> Rollout:
    """A draft."""
    return Rollout(**{"key": "r", "flag_key": "f", "control": "legacy", "canary": "unified", "plan": plan(), **fields})
