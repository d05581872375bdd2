"""What comes next for a rollout, when, and whether a person or the judge takes the step."""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.decisions import Agreement
from controller.domain.plans import Mode
from controller.domain.rollouts import Phase
from controller.wire.api.rollouts import RolloutView


@dataclass(frozen=True, slots=True)
class NextStep:
    """One step.

    Attributes:
        text: `advance to 10 %`; empty where nothing follows.
        at_ms: when it happens at the earliest, or by when it has to; None where nobody can tell.
        by_person: whether it waits for a person.
        until: whether `at_ms` is a deadline.
    """

    text: str
    at_ms: int | None = None
    by_person: bool = False
    until: bool = False


def next_step(view: RolloutView, now_ms: int) -> NextStep:
    """The next step of a rollout as it is now."""
    match Phase(view.phase):
        case Phase.DRAFT:
            return NextStep("start it, or change its plan", by_person=True)
        case Phase.MEASURING:
            first = f"first stage, {view.stages[0].share_percent:g} %"
            return NextStep(first, now_ms + (view.measure_left_ms or 0))
        case Phase.PROGRESSING:
            return _progressing(view, now_ms)
        case Phase.PAUSED:
            return NextStep("resume, or roll back", by_person=True)
        case Phase.ROLLING_BACK:
            return NextStep(_verifying(view))
        case Phase.ROLLED_BACK | Phase.ABORTED:
            return NextStep("re-arm it to try again", by_person=True)
    return NextStep("")


def needs_attention(view: RolloutView) -> bool:
    """Whether somebody should look at it: something is wrong, or it waits for a person."""
    waits = view.phase in (Phase.PAUSED, Phase.ROLLING_BACK) or view.approval in (Agreement.ASKED, Agreement.LATE)
    live = Phase(view.phase).live
    failing = live and view.analysis is not None and view.analysis.verdict == "fail"
    return bool(view.alerts) or failing or (waits and not Phase(view.phase).final)


def _progressing(view: RolloutView, now_ms: int) -> NextStep:
    goal = "promote" if view.next_share_percent is None else f"advance to {view.next_share_percent:g} %"
    if view.mode == Mode.OBSERVE:
        return NextStep(f"{goal} by hand: the judge only observes", by_person=True)
    if view.approval == Agreement.ASKED:
        return NextStep(f"approve the stage with {view.next_share_percent:g} %", view.approval_until_ms, True, True)
    if view.bake_left_ms:
        return NextStep(goal, now_ms + view.bake_left_ms)
    if view.analysis is not None and view.analysis.lacking:
        return NextStep(f"{goal}, once proven: {view.analysis.lacking[0].text}")
    return NextStep(f"{goal}, once every instance has the present share")


def _verifying(view: RolloutView) -> str:
    found = view.verification
    if found is None:
        return "verify: the clients have not been asked yet"
    missing = len(found.missing)
    if missing:
        return f"verify: {missing} live {'instance has' if missing == 1 else 'instances have'} not confirmed"
    return "verify: all have confirmed"
