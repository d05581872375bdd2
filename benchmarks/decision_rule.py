"""The shipped judge as a rule of a Monte-Carlo harness: ticks of counts in, the judge's own verdicts out.

The harness simulates many rollouts tick by tick and asks a rule for its decision after each. Its units become ledger
rows of one slot per tick, so that `controller.domain.judge` itself decides, with the constants that are shipped:

    python run.py --rules guard_f96 --rule decision_rule:ShippedJudge --reps 10

`docs/judge.md` shows the result. Not judged here: whether a canary still reports at all (see there).
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.domain.judge.constants import Constants, delivery_constants
from controller.domain.judge.findings import Analysis, Verdict
from controller.domain.judge.judge import judge
from controller.domain.judge.state import JudgeState, fresh_state
from controller.domain.ledger import LedgerRow, Slot
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.units import UnitKind

#: The harness's arms by the judge's names.
_ARMS = {"canary": "canary", "control": "baseline"}
_EPOCH = 1
_WORDS = {Verdict.FAIL: "rollback", Verdict.PASS: "promote", Verdict.INCONCLUSIVE: "hold"}

#: Failed and all milli-units by stream and arm, of one tick.
Units = Mapping[str, Mapping[str, tuple[int, int]]]


class ShippedJudge:
    """The judge with a floor of 96 %, one stage, events (or whole connections) as units."""

    floor_permille = 960

    def __init__(self) -> None:
        self.constants: Constants = delivery_constants(self.floor_permille, UnitKind.EVENT, CRITICAL_EVENTS)
        self.state: JudgeState = fresh_state(self.constants, 0)
        self.analysis: Analysis | None = None

    def feed(self, t: float, counts: object, units: Units) -> str:  # noqa: ARG002 - the harness passes both
        """One tick that ends at `t` seconds; `units` include the pooled stream."""
        rows = tuple(
            LedgerRow(_EPOCH, arm, stream, *units[stream][theirs])
            for arm, theirs in _ARMS.items()
            for stream in self.constants.streams
        )
        slot = Slot(seq=self.state.seq + 1, closed_ms=round(1000 * t), epoch=_EPOCH, rows=rows)
        self.state, self.analysis = judge(self.constants, self.state, slot)
        return _WORDS[self.analysis.verdict]


class ShippedJudge975(ShippedJudge):
    """The same with a floor of 97.5 %, which `floor: auto` takes where the control delivers 99.5 % or more."""

    floor_permille = 975
