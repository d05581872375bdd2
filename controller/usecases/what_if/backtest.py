"""Another policy over stored evidence: when it would have acted, and what that would have saved or cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.domain.control import control_rates
from controller.domain.errors import Conflict, Invalid
from controller.domain.explain import sentence
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Effect, Evidence, Finding, Verdict
from controller.domain.judge.freeze import freeze
from controller.domain.judge.judge import judge
from controller.domain.judge.state import JudgeState, fresh_state
from controller.domain.plans import Plan
from controller.domain.tallies import Counts
from controller.wire.api.judging import RoundView, SlotView
from controller.wire.api.what_if import BacktestView
from controller.wire.slots import slot_of

_BACK = ("rolling_back", "rolled_back")


def check_policy(policy: Plan, recorded: Plan) -> None:
    """A policy can be tried on evidence that was counted for what it asks, and in its unit.

    Raises:
        Invalid: it asks for something that was not counted; the error names the field.
    """
    if policy.unit is not recorded.unit:
        words = f"the evidence was counted by {recorded.unit.value}; what a unit weighs cannot be derived again"
        raise Invalid(words, field="unit")
    missing = sorted(set(policy.events) - set(recorded.events))
    if missing:
        raise Invalid(f"{', '.join(missing)} was not counted for this rollout", field="events")
    counted = set(recorded.families)
    for at, guard in enumerate(policy.guards):
        if guard.family(policy.events) not in counted:
            raise Invalid(
                f"{guard.metric.value} with this deadline was not counted for this rollout",
                field=f"guards[{at}].metric",
            )


def backtest(name: str, policy: Plan, begun: RoundView, slots: Sequence[SlotView]) -> BacktestView:
    """Run a policy over the slots of one round.

    Raises:
        Conflict: the round has no slots.
    """
    if not slots:
        raise Conflict(f"round {begun.round} of {name!r} has no evidence", field="round")
    failed, total = begun.control_failed, begun.control_total
    frozen = freeze(policy, control_rates(policy, Counts(delivered=total - failed, failed=failed), {}))
    trial = _Trial(fresh_state(frozen, begun.first_epoch, begun.first_seq - 1))
    for stored in slots:
        trial.step(frozen, stored)
    taken_back = begun.decided_ms if begun.ended_as in _BACK else None
    would = trial.acted
    return BacktestView(
        rollout=name,
        round=begun.round,
        started_ms=begun.started_ms,
        ended_ms=begun.ended_ms,
        ended_as=begun.ended_as,
        acted_ms=taken_back,
        would_ms=would[0] if would else None,
        would_action=would[1].effect.value if would else "",
        sentence=sentence(frozen, would[1]) if would else f"it would not have acted in {len(slots):,} slots",
        verdict=_verdict(taken_back, would[0] if would else None),
        failed_events=None,
        passed_ms=[trial.passed.get(stage) for stage in range(len(policy.stages))],
        times=trial.times,
        recorded=trial.recorded,
        backtested=trial.tried,
    )


@dataclass(slots=True)
class _Trial:
    """What becomes of a policy, slot by slot."""

    state: JudgeState
    acted: tuple[int, Finding] | None = None
    passed: dict[int, int] = field(default_factory=dict)
    times: list[int] = field(default_factory=list)
    recorded: list[float] = field(default_factory=list)
    tried: list[float] = field(default_factory=list)

    def step(self, frozen: Constants, stored: SlotView) -> None:
        self.state, analysis = judge(frozen, self.state, slot_of(stored))
        self.times.append(stored.closed_ms)
        self.recorded.append(max((Evidence(**one).permille_of_line / 10 for one in stored.evidence), default=0.0))
        self.tried.append(max((one.permille_of_line / 10 for one in analysis.evidence), default=0.0))
        worst = analysis.worst
        if self.acted is None and worst is not None and worst.effect in (Effect.ROLLBACK, Effect.PAUSE):
            self.acted = stored.closed_ms, worst
        if analysis.verdict is Verdict.PASS:
            self.passed.setdefault(stored.stage, stored.closed_ms)


def _verdict(acted_ms: int | None, would_ms: int | None) -> str:
    """earlier, same, later, only_policy (a rollback that did not happen) or only_recorded, neither."""
    if acted_ms is None:
        return "neither" if would_ms is None else "only_policy"
    if would_ms is None:
        return "only_recorded"
    if would_ms == acted_ms:
        return "same"
    return "earlier" if would_ms < acted_ms else "later"
