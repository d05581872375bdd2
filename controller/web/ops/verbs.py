"""The operator's verbs as buttons: what they are called, what they will do, and when they are offered."""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.decisions import Agreement
from controller.domain.rollouts import TRANSITIONS, Action, Phase
from controller.wire.api.rollouts import RolloutView

#: What a page says after an act; the address names the act, so that nobody can make a page say something else.
DONE = {
    "start": "Started.",
    "pause": "Paused: the share stays as it is, and failures still roll back.",
    "resume": "Resumed: the stage goes on where it was paused.",
    "advance": "Advanced: the evidence of this stage begins now.",
    "approve": "Approved: the next stage begins as soon as the present one has passed.",
    "promote": "Promoted: everybody is served the canary.",
    "rollback": "Rolling back: everybody is served the control. Verified once every live instance has confirmed.",
    "abort": "Aborted before anybody saw the canary.",
    "set-share": "Share set by hand: its evidence begins now.",
    "re-arm": "Armed again, as a draft.",
    "label": "Noted whether the rollback was right.",
    "applied": "Saved. Nothing is served by this until it is started.",
}


@dataclass(frozen=True, slots=True)
class Verb:
    """One button.

    Attributes:
        name: as in addresses. label: on the button. question: over the confirmation.
        looks: `primary`, `danger` or nothing.
    """

    name: str
    action: Action
    label: str
    question: str
    looks: str = ""


VERBS = {
    verb.name: verb
    for verb in (
        Verb("approve", Action.APPROVE, "Approve", "Approve the next stage?", "primary"),
        Verb("start", Action.START, "Start", "Start this rollout?", "primary"),
        Verb("resume", Action.RESUME, "Resume", "Go on with this stage?", "primary"),
        Verb("advance", Action.ADVANCE, "Advance", "Go on to the next stage now?"),
        Verb("pause", Action.PAUSE, "Pause", "Hold the present share?"),
        Verb("set-share", Action.SET_SHARE, "Set share", "Set the share by hand?"),
        Verb("promote", Action.PROMOTE, "Promote", "Serve the canary to everybody, for good?"),
        Verb("abort", Action.ABORT, "Abort", "Give this rollout up?"),
        Verb("re-arm", Action.RE_ARM, "Re-arm", "Make it a draft again?", "primary"),
        Verb("rollback", Action.ROLLBACK, "Roll back now", "Roll back now?", "danger"),
    )
}


def offered(view: RolloutView) -> list[Verb]:
    """The verbs that fit a rollout's phase, the one that it waits for first."""
    return [verb for verb in VERBS.values() if fits(view, verb)]


def fits(view: RolloutView, verb: Verb) -> bool:
    """Whether a verb makes sense now; the use case has the last word."""
    if (Phase(view.phase), verb.action) not in TRANSITIONS:
        return False
    if verb.action is Action.APPROVE:
        return view.approval in (Agreement.NEEDED, Agreement.ASKED, Agreement.LATE)
    if verb.action is Action.ADVANCE:
        return view.next_share_percent is not None
    return True


def consequence(view: RolloutView, verb: Verb) -> str:
    """What the act will do, in words."""
    following = "" if view.next_share_percent is None else f"{view.next_share_percent:g} %"
    words = {
        "rollback": f"Everybody is served {view.control} at once. {view.share_percent:g} % of the users are on "
        f"{view.canary} now. It stays so until somebody re-arms the rollout.",
        "approve": f"The stage with {following} begins by itself as soon as the present one has passed.",
        "start": f"{view.stages[0].share_percent:g} % of the users of {view.flag} are moved to {view.canary}. The "
        "judge watches from then on, and rolls back by itself.",
        "resume": "The stage goes on where it was paused; the time spent paused was not baked.",
        "advance": f"The share grows from {view.share_percent:g} % to {following} without waiting for evidence or "
        "bake time. The evidence for the canary begins anew.",
        "pause": f"The share stays at {view.share_percent:g} %. Failures still roll back.",
        "set-share": f"The share is {view.share_percent:g} % now. A new evidence epoch begins, and the bake time with "
        "it.",
        "promote": f"Everybody is served {view.canary}, and the rollout ends. Nothing rolls back by itself afterwards.",
        "abort": "Nobody has seen the canary; the plan stays and can be armed again.",
        "re-arm": "It becomes a draft with the same salt, so the same users will see the canary first.",
    }
    return words[verb.name]
