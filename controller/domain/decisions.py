"""From a verdict to an act. Bad news at once, good news after baking; inconclusive never promotes."""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.judge.findings import Verdict
from controller.domain.plans import GuardAction
from controller.domain.rollouts import Action, Phase

#: (verdict, baked, last stage) while progressing; None stands for any.
TABLE: dict[tuple[Verdict, bool | None, bool | None], Action] = {
    (Verdict.INCONCLUSIVE, None, None): Action.HOLD,
    (Verdict.PASS, False, None): Action.HOLD,
    (Verdict.PASS, True, False): Action.ADVANCE,
    (Verdict.PASS, True, True): Action.PROMOTE,
}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What besides the verdict bears on a decision."""

    phase: Phase
    baked: bool
    last_stage: bool
    on_fail: GuardAction
    instances_behind: int = 0


def decide(verdict: Verdict, seen: Circumstances) -> Action:
    """What to do: a failure acts in every live phase; good news waits for the bake, for every instance, for resume."""
    if verdict is Verdict.FAIL:
        if seen.on_fail is GuardAction.ROLLBACK:
            return Action.ROLLBACK
        return Action.HOLD if seen.phase is Phase.PAUSED else Action.PAUSE
    if seen.phase is not Phase.PROGRESSING or seen.instances_behind:
        return Action.HOLD
    for (row_verdict, baked, last), action in TABLE.items():
        if row_verdict is verdict and baked in (None, seen.baked) and last in (None, seen.last_stage):
            return action
    raise AssertionError(f"no row for {verdict}")


def why_held(verdict: Verdict, seen: Circumstances, lacking: tuple[str, ...]) -> str:
    """What a hold waits for, in words."""
    if seen.phase is Phase.PAUSED:
        return "paused; a person resumes or rolls back"
    if verdict is Verdict.INCONCLUSIVE:
        return "; ".join(lacking) or "not enough evidence yet"
    if seen.instances_behind:
        return f"proven; {seen.instances_behind} live instance(s) are still on an older revision"
    return "proven; the bake time is not over"
