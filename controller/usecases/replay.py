"""Recompute every analysis and decision of a rollout from its stored numbers, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.domain.decisions import Choice, Circumstances, circumstances_from, decide
from controller.domain.explain import arithmetic, explain
from controller.domain.judge.constants import Constants, from_canonical
from controller.domain.judge.findings import Analysis
from controller.domain.judge.judge import judge
from controller.domain.judge.state import JudgeState, fresh_state
from controller.wire.api.judging import RoundView, SlotView
from controller.wire.slots import slot_of

#: What a slot that was tampered with differs in, before anything else: its rows or its gauges.
_TAMPERED = "its ledger rows or gauges are not those that were judged"


@dataclass(frozen=True, slots=True)
class Replayed:
    """One slot replayed.

    Attributes:
        differs: what did not come out as it was recorded; empty when all did.
        message, arithmetic: of the decision, where more than a hold was decided.
        digest: of everything up to here; the last one stands for the whole replay.
    """

    seq: int
    verdict: str
    action: str
    differs: tuple[str, ...]
    message: str = ""
    arithmetic: dict[str, Any] = field(default_factory=dict)
    digest: str = ""


def replay(rounds: Sequence[RoundView], slots: Iterable[SlotView], first: int = 1) -> Iterator[Replayed]:
    """Replay slots in order, from the constants frozen at each start; needs no database, no clock and no server.

    `first` is the slot to begin with, where those before it have been deleted with their rounds.
    """
    begins = {one.first_seq: one for one in rounds}
    constants: Constants | None = None
    state: JudgeState | None = None
    for expected, stored in enumerate(slots, start=first):
        if stored.seq != expected:
            yield Replayed(stored.seq, "", "", (f"slot {expected} is missing",))
            return
        if begun := begins.get(stored.seq):
            constants = from_canonical(begun.constants)
            state = fresh_state(constants, begun.first_epoch, begun.first_seq - 1)
        if constants is None or state is None:
            yield Replayed(stored.seq, "", "", ("no round begins before it",))
            return
        state, found = _slot(constants, state, stored)
        yield found


def _slot(constants: Constants, before: JudgeState, stored: SlotView) -> tuple[JudgeState, Replayed]:
    state, analysis = judge(constants, before, slot_of(stored))
    seen = circumstances_from(stored.circumstances)
    choice = decide(analysis, seen)
    differs = [_TAMPERED] if state.chain != stored.slot_digest else []
    differs += [
        f"{what}: recorded {recorded}, replayed {again}"
        for what, recorded, again in _compared(constants, state, analysis, seen, choice, stored)
        if recorded != again
    ]
    numbers = arithmetic(constants, analysis.worst) if analysis.worst else {}
    message = explain(constants, analysis, seen, choice)
    found = Replayed(
        stored.seq, analysis.verdict.value, choice.act.value, tuple(differs), message, numbers, state.digest()
    )
    return state, found


def _compared(
    constants: Constants,
    state: JudgeState,
    analysis: Analysis,
    seen: Circumstances,
    choice: Choice,
    stored: SlotView,
) -> Iterator[tuple[str, object, object]]:
    yield "verdict", stored.verdict, analysis.verdict.value
    yield "action", stored.action, choice.act.value
    yield "message", stored.message, explain(constants, analysis, seen, choice)
    yield "findings", stored.findings, [finding.plain() for finding in analysis.findings]
    yield "lacking", stored.lacking, [lack.plain() for lack in analysis.lacking]
    yield "evidence", stored.evidence, [evidence.plain() for evidence in analysis.evidence]
    yield "notes", stored.notes, list(analysis.notes)
    yield "state", stored.state_digest, state.digest()
    yield "constants", stored.constants_digest, constants.digest()
