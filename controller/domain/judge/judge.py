"""One slot in, one analysis out: the guards of a rollout in order, the worst finding speaking for all."""

from __future__ import annotations

from controller.domain.judge import at_least, margins, promotion, scope, silence
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Analysis, Effect, Evidence, Finding, Lack, Verdict
from controller.domain.judge.reading import Reading, read
from controller.domain.judge.state import JudgeState
from controller.domain.ledger import Slot, has_concurrent_control


def judge(constants: Constants, before: JudgeState, slot: Slot) -> tuple[JudgeState, Analysis]:
    """Step the judge over one slot.

    Args:
        constants: frozen at the start of the round.
        before: the memory after the previous slot; it is not changed.
        slot: the evidence of this step.

    Returns:
        the memory after this slot, and the analysis. The same arguments give the same bits anywhere.

    Raises:
        ValueError: the slot does not follow the memory's last one.
    """
    if slot.seq != before.seq + 1:
        raise ValueError(f"slot {slot.seq} does not follow slot {before.seq}")
    state = before.copy()
    fresh = slot.boundary > state.boundary
    reading = read(slot, state.first_epoch, fresh=fresh)
    state.seq, state.boundary, state.chain = slot.seq, max(slot.boundary, state.boundary), slot.digest(state.chain)
    _count_versions(state, slot, fresh=fresh)
    findings = scope.narrow(constants, state, reading, at_least.take(constants, state, reading))
    compared, beside = margins.take(constants, state, reading)
    findings += [*compared, *silence.take(constants, state, reading)]
    if state.promotion.epoch != slot.epoch:
        concurrent = has_concurrent_control(slot.weight)
        state.promotion = promotion.begin_epoch(state.promotion, slot.epoch, concurrent_control=concurrent)
    promotion.take(constants, state.promotion, reading)
    findings.sort(key=lambda finding: finding.rank)
    return state, _analysis(constants, state, reading, findings, beside)


def _analysis(
    constants: Constants, state: JudgeState, reading: Reading, findings: list[Finding], beside: list[Evidence]
) -> Analysis:
    slot = reading.slot
    missing = [*silence.no_traffic(state, slot), *promotion.lacking(constants, state.promotion, slot)]
    if near := at_least.above_half(constants, state):
        missing.append(Lack("evidence_high", f"evidence above half its line: {', '.join(dict.fromkeys(near))}"))
    missing += [Lack(finding.rule.value, f"held by {finding.guard}") for finding in findings if _holds(finding)]
    evidence = (*at_least.standing(constants, state, reading), *beside)
    notes = tuple(margins.inactive(constants, slot.weight))
    return Analysis(slot.seq, _verdict(findings, missing), tuple(findings), tuple(missing), evidence, notes)


def _verdict(findings: list[Finding], missing: list[Lack]) -> Verdict:
    if findings and findings[0].effect in (Effect.ROLLBACK, Effect.PAUSE):
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE if missing else Verdict.PASS


def _holds(finding: Finding) -> bool:
    return finding.effect is Effect.HOLD


def _count_versions(state: JudgeState, slot: Slot, *, fresh: bool) -> None:
    """Which application versions failed: counted since every stream was last healthy, so that an old one is not."""
    if fresh and all(track.healthy for streams in state.canary for track in streams.values()):
        state.versions.clear()
    for version, tally in slot.gauges.versions.items():
        counts = state.versions.setdefault(version, [0, 0])
        counts[0] += tally.failed
        counts[1] += tally.total
