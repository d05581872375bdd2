"""Recompute every analysis and decision of a rollout from its stored numbers, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from controller.domain.decisions import Circumstances, decide
from controller.domain.explain import explain
from controller.domain.judge.constants import from_canonical
from controller.domain.judge.judge import judge
from controller.domain.judge.state import fresh_state
from controller.domain.ledger import LedgerRow, Slot
from controller.domain.plans import GuardAction
from controller.domain.rollouts import Phase
from controller.wire.api import SlotView


@dataclass(frozen=True, slots=True)
class Replayed:
    """One slot replayed; `differs` names what did not come out as it was recorded, and is empty when all did."""

    seq: int
    verdict: str
    action: str
    differs: tuple[str, ...]


def replay(constants_text: str, slots: Iterable[SlotView]) -> Iterator[Replayed]:
    """Replay slots in order, from the constants frozen at start; needs no database, no clock and no server."""
    constants = from_canonical(constants_text)
    state, expected = fresh_state(constants), 1
    for stored in slots:
        if stored.seq != expected:
            yield Replayed(stored.seq, "", "", (f"slot {expected} is missing",))
            return
        expected += 1
        rows = tuple(sorted(LedgerRow(*row) for row in stored.rows))
        slot = Slot(stored.seq, stored.closed_ms, stored.epoch, rows, stored.open)
        concurrent = bool(stored.circumstances["concurrent_control"])
        state, analysis = judge(constants, state, slot, concurrent_control=concurrent)
        seen = _circumstances(stored)
        action = decide(analysis.verdict, seen)
        found = {
            "verdict": (stored.verdict, analysis.verdict.value),
            "action": (stored.action, action.value),
            "message": (stored.message, explain(constants, analysis, seen, action)),
            "state": (stored.state_digest, state.digest()),
            "constants": (stored.constants_digest, constants.digest()),
        }
        differs = tuple(f"{what}: recorded {a}, replayed {b}" for what, (a, b) in found.items() if a != b)
        yield Replayed(stored.seq, analysis.verdict.value, action.value, differs)


def _circumstances(stored: SlotView) -> Circumstances:
    raw = stored.circumstances
    return Circumstances(
        phase=Phase(raw["phase"]),
        baked=raw["baked"],
        last_stage=raw["last_stage"],
        on_fail=GuardAction(raw["on_fail"]),
        instances_behind=raw["instances_behind"],
    )
