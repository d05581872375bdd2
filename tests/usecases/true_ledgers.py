"""Ledgers as a controller would have written them: the judge and the table of decisions run over made-up evidence."""

from dataclasses import asdict, dataclass
from random import Random

from controller.domain.decisions import Circumstances, decide
from controller.domain.explain import explain
from controller.domain.judge.constants import Constants, delivery_constants
from controller.domain.judge.judge import judge
from controller.domain.judge.state import fresh_state
from controller.domain.ledger import Slot, has_concurrent_control, ledger_rows
from controller.domain.outcomes import CRITICAL_EVENTS, Arm
from controller.domain.plans import GuardAction
from controller.domain.rollouts import Action, Phase
from controller.domain.tallies import UNIT, Tally
from controller.domain.units import LATER, UnitKind
from controller.wire.api import LedgerView, SlotView

_STAGES = (1_000, 5_000, 10_000)
_BAKED_SLOTS = 20


@dataclass
class Story:
    """A rollout on its way: what each slot of it looked like."""

    kind: UnitKind = UnitKind.USER_10M
    stage: int = 0
    since: int = 0
    epoch: int = 1
    phase: Phase = Phase.PROGRESSING

    def circumstances(self, seq: int, behind: int) -> Circumstances:
        """What the decision on a slot saw."""
        return Circumstances(self.phase, seq - self.since > _BAKED_SLOTS, self.stage == 2, GuardAction.ROLLBACK, behind)

    def follow(self, action: Action, seq: int) -> None:
        """Do what was decided."""
        if action is Action.ADVANCE:
            self.stage, self.since, self.epoch = self.stage + 1, seq, self.epoch + 1
        elif action is Action.ROLLBACK:
            self.phase = Phase.ROLLING_BACK
        elif action is Action.PROMOTE:
            self.phase = Phase.PROMOTED


def true_ledger(*, failing_from: int = 10**9, slots: int = 100, kind: UnitKind = UnitKind.USER_10M) -> LedgerView:
    """A ledger whose canary fails half of its units from one slot on; it ends where the rollout does."""
    constants = delivery_constants(965, kind, CRITICAL_EVENTS)
    state, story, chance = fresh_state(constants), Story(kind), Random(7)
    written: list[SlotView] = []
    for seq in range(1, slots + 1):
        slot = _slot(story, chance, seq, failing=seq >= failing_from)
        weight = _STAGES[story.stage]
        concurrent = has_concurrent_control(weight)
        state, analysis = judge(constants, state, slot, concurrent_control=concurrent)
        seen = story.circumstances(seq, behind=1 if seq % 50 == 0 else 0)
        action = decide(analysis.verdict, seen)
        written.append(
            SlotView(
                seq=seq,
                closed_ms=slot.closed_ms,
                epoch=slot.epoch,
                stage=story.stage,
                weight=weight,
                rows=[(row.epoch, row.arm, row.stream, row.failed, row.total) for row in slot.rows],
                open=dict(slot.open),
                verdict=analysis.verdict.value,
                action=action.value,
                message=explain(constants, analysis, seen, action),
                state_digest=state.digest(),
                constants_digest=constants.digest(),
                circumstances={**asdict(seen), "concurrent_control": concurrent},
            )
        )
        story.follow(action, seq)
        if story.phase is not Phase.PROGRESSING:
            break
    return LedgerView("unified-emitter", constants.canonical(), written, None)


def other_constants(kind: UnitKind = UnitKind.USER_10M) -> Constants:
    """Constants of a lower floor than the ledger's."""
    return delivery_constants(960, kind, CRITICAL_EVENTS)


def _slot(story: Story, chance: Random, seq: int, *, failing: bool) -> Slot:
    tallies: dict[tuple[int, str, str], Tally] = {}
    streams = CRITICAL_EVENTS if story.kind is UnitKind.EVENT else (*CRITICAL_EVENTS, LATER)
    for stream in streams:
        for arm in Arm:
            share = 0.5 if failing and arm is Arm.CANARY else 0.002
            total = chance.randint(20, 80)
            failed = sum(chance.random() < share for _ in range(total))
            tallies[story.epoch, arm.value, stream] = Tally(failed * UNIT, total * UNIT)
    if story.epoch > 1:  # a late outcome of the stage before
        tallies[story.epoch - 1, Arm.CANARY.value, CRITICAL_EVENTS[0]] = Tally(0, UNIT)
    still_open = {CRITICAL_EVENTS[0]: chance.randint(0, 4)}
    return Slot(seq, 1_772_000_000_000 + 4_000 * seq, story.epoch, ledger_rows(tallies, story.kind), still_open)
