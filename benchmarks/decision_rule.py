"""The shipped judge as a rule of a Monte-Carlo harness: ticks of counts in, the judge's own verdicts out.

The harness simulates many rollouts tick by tick and asks a rule for its decision after each. Its units become ledger
rows of one slot per tick, so that `controller.domain.judge` itself decides, with the constants that are shipped:

    python run.py --rules guard_f96 --rule decision_rule:ShippedJudge --reps 10

docs/benchmarks.md shows the result.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.domain.guards import Guard
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Analysis, Effect, Verdict
from controller.domain.judge.freeze import freeze
from controller.domain.judge.judge import judge
from controller.domain.judge.state import JudgeState, fresh_state
from controller.domain.ledger import LedgerRow, Slot
from controller.domain.metrics import POOLED, REPORTING, UnitKind
from controller.domain.plans import Plan, Stage

#: The harness's arms by the judge's names.
_ARMS = {"canary": "canary", "control": "baseline"}
_EPOCH = 1
#: The harness simulates a canary share of 10 %, and no units that were due: those of the control stand for them.
_WEIGHT, _DUE = 1_000, (1, 9)
_WORDS = {Verdict.PASS: "promote", Verdict.INCONCLUSIVE: "hold"}

#: Failed and all milli-units by stream and arm, of one tick.
Units = Mapping[str, Mapping[str, tuple[int, int]]]


class ShippedJudge:
    """The judge with a floor of 96 %, one stage, events (or whole connections) as units."""

    floor_ppm = 960_000

    def __init__(self) -> None:
        guards = (Guard("delivery", floor_ppm=self.floor_ppm),)
        plan = Plan((Stage(_WEIGHT, 1), Stage(10_000, 1)), guards=guards, unit=UnitKind.EVENT)
        self.constants: Constants = freeze(plan, {})
        self.state: JudgeState = fresh_state(self.constants, _EPOCH)
        self.analysis: Analysis | None = None
        self.streams = (*plan.events, POOLED)

    def feed(self, t: float, counts: object, units: Units) -> str:  # noqa: ARG002 - the harness passes both
        """One tick that ends at `t` seconds; `units` include the pooled stream."""
        rows = [
            LedgerRow(_EPOCH, arm, stream, *units[stream][theirs])
            for arm, theirs in _ARMS.items()
            for stream in self.streams
        ]
        due = units[POOLED]["baseline"][1] * _DUE[0] // _DUE[1]
        rows.append(LedgerRow(_EPOCH, "canary", REPORTING, due - units[POOLED]["canary"][1], due))
        slot = Slot(self.state.seq + 1, round(1000 * t), _EPOCH, _WEIGHT, tuple(rows))
        self.state, self.analysis = judge(self.constants, self.state, slot)
        if self.analysis.effect is Effect.ROLLBACK:
            return "rollback"
        return _WORDS.get(self.analysis.verdict, "hold")


class ShippedJudge975(ShippedJudge):
    """The same with a floor of 97.5 %, which `floor: auto` takes where the control delivers 99.5 % or more."""

    floor_ppm = 975_000
