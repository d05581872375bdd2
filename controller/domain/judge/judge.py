"""One slot in, one analysis out: the guards of a rollout in order, the worst finding speaking for all."""

from __future__ import annotations

from controller.domain.judge import delivery, promotion
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Analysis, Finding, Verdict
from controller.domain.judge.state import JudgeState
from controller.domain.ledger import Slot
from controller.domain.outcomes import Arm


def judge(
    constants: Constants, before: JudgeState, slot: Slot, *, concurrent_control: bool = True
) -> tuple[JudgeState, Analysis]:
    """Step the judge over one slot.

    Args:
        constants: frozen at the start of the rollout.
        before: the memory after the previous slot; it is not changed.
        slot: the evidence of this step.
        concurrent_control: False in a stage above 95 % share.

    Returns:
        the memory after this slot, and the analysis. The same arguments give the same bits anywhere.

    Raises:
        ValueError: the slot does not follow the memory's last one.
    """
    if slot.seq != before.seq + 1:
        raise ValueError(f"slot {slot.seq} does not follow slot {before.seq}")
    state = before.copy()
    fresh = slot.boundary > state.boundary
    state.seq, state.boundary = slot.seq, max(slot.boundary, state.boundary)
    findings = _guard(constants, state, slot, fresh=fresh)
    if state.promotion.epoch != slot.epoch:
        state.promotion = promotion.begin_epoch(state.promotion, slot.epoch, concurrent_control=concurrent_control)
    promotion.take(constants, state.promotion, slot)
    return state, _analysis(constants, state, slot, findings)


def _guard(constants: Constants, state: JudgeState, slot: Slot, *, fresh: bool) -> list[Finding]:
    findings: list[Finding] = []
    for name in constants.streams:
        stream = state.streams[name]
        if fresh:
            delivery.restart(stream)
        tally = slot.tally(Arm.CANARY, name)
        findings += delivery.take(constants, name, stream, tally, slot.open_in(name))
    return sorted(findings, key=lambda finding: finding.line - finding.score)


def _analysis(constants: Constants, state: JudgeState, slot: Slot, findings: list[Finding]) -> Analysis:
    evidence = {
        name: delivery.standing(constants, name, state.streams[name], slot.open_in(name)) for name in constants.streams
    }
    missing = list(promotion.lacking(constants, state.promotion))
    near = [name for name in constants.streams if _above_half(constants, name, state.streams[name].evidence)]
    if near:
        missing.append(f"evidence above half its line: {', '.join(near)}")
    return Analysis(slot.seq, _verdict(findings, missing), tuple(findings), tuple(missing), evidence)


def _verdict(findings: list[Finding], missing: list[str]) -> Verdict:
    if findings:
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE if missing else Verdict.PASS


def _above_half(constants: Constants, name: str, evidence: list[int]) -> bool:
    """Evidence above half its line, where it has grown at all: without traffic a stream stays where it started."""
    lines = constants.lines[name]
    return any(score > constants.start and 2 * score > line for score, line in zip(evidence, lines, strict=True))
