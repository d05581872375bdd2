"""Ledgers as a controller would have written them: the judge and the table of decisions run over made-up evidence."""

from dataclasses import dataclass
from random import Random

from controller.domain.decisions import Circumstances, decide
from controller.domain.explain import explain
from controller.domain.judge.constants import Constants
from controller.domain.judge.judge import judge
from controller.domain.judge.state import fresh_state
from controller.domain.ledger import Gauges, LedgerRow, Slot, ledger_rows
from controller.domain.metrics import DELIVERY, LATER, UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS, Arm
from controller.domain.rollouts import Action, Phase
from controller.domain.tallies import UNIT, Tally
from controller.wire.api.judging import LedgerView, RoundView, SlotView
from tests.domain.builders import constants

_T0 = 1_772_000_000_000
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
        baked = seq - self.since > _BAKED_SLOTS
        return Circumstances(self.phase, baked, self.stage == 2, instances_behind=behind)

    def follow(self, action: Action, seq: int) -> None:
        """Do what was decided."""
        if action is Action.ADVANCE:
            self.stage, self.since, self.epoch = self.stage + 1, seq, self.epoch + 1
        elif action is Action.ROLLBACK:
            self.phase = Phase.ROLLING_BACK
        elif action is Action.PROMOTE:
            self.phase = Phase.PROMOTED


def true_ledger(
    *, failing_from: int = 10**9, slots: int = 100, kind: UnitKind = UnitKind.USER_10M, after: int = 0
) -> LedgerView:
    """A ledger whose canary fails half of its units from one slot on; it ends where the rollout does.

    With `after`, it is the second round of a rollout whose first one ended with that slot.
    """
    frozen = constants(970 if after else 965, kind)
    story, chance = Story(kind, since=after, epoch=9 if after else 1), Random(7)
    state = fresh_state(frozen, 9 if after else 0, after)
    written: list[SlotView] = []
    for seq in range(after + 1, after + slots + 1):
        slot = _slot(story, chance, seq, failing=seq >= failing_from)
        state, analysis = judge(frozen, state, slot)
        seen = story.circumstances(seq, behind=1 if seq % 50 == 0 else 0)
        choice = decide(analysis, seen)
        written.append(
            SlotView(
                seq=seq,
                closed_ms=slot.closed_ms,
                epoch=slot.epoch,
                stage=story.stage,
                weight=slot.weight,
                rows=[tuple(row) for row in slot.rows],
                gauges=slot.gauges.plain(),
                circumstances=seen.plain(),
                verdict=analysis.verdict.value,
                action=choice.act.value,
                message=explain(frozen, analysis, seen, choice),
                findings=[finding.plain() for finding in analysis.findings],
                lacking=[lack.plain() for lack in analysis.lacking],
                evidence=[evidence.plain() for evidence in analysis.evidence],
                notes=list(analysis.notes),
                slot_digest=state.chain,
                state_digest=state.digest(),
                constants_digest=frozen.digest(),
            )
        )
        story.follow(choice.act, seq)
        if story.phase is not Phase.PROGRESSING:
            break
    began = RoundView(2 if after else 1, after + 1, state.first_epoch, frozen.canonical(), "enforce", "ann", _T0)
    return LedgerView("unified-emitter", [began], written, None)


def other_constants(kind: UnitKind = UnitKind.USER_10M) -> Constants:
    """Constants of a lower floor than the ledger's."""
    return constants(960, kind)


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
    gauges = Gauges(open={CRITICAL_EVENTS[0]: chance.randint(0, 4)}, active=8)
    rows: tuple[LedgerRow, ...] = ledger_rows(tallies, story.kind, (DELIVERY,), CRITICAL_EVENTS)
    return Slot(seq, _T0 + 4_000 * seq, story.epoch, _STAGES[story.stage], rows, gauges)
