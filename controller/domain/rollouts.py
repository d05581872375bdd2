"""The rollout and its life cycle. The table below is specification, code, documentation and test matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b

from controller.domain.errors import WrongPhase
from controller.domain.plans import Approval, Plan, Stage


class Phase(StrEnum):
    """Where a rollout stands; promoted, rolled_back and aborted are final, until a person re-arms."""

    DRAFT = "draft"
    MEASURING = "measuring"
    PROGRESSING = "progressing"
    PAUSED = "paused"
    ROLLING_BACK = "rolling_back"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"

    @property
    def live(self) -> bool:
        """Whether users can see the canary in this phase, so that the judge evaluates."""
        return self in LIVE

    @property
    def published(self) -> bool:
        """Whether clients hear of the rollout: while measuring they count, and serve the control."""
        return self is Phase.MEASURING or self in LIVE

    @property
    def final(self) -> bool:
        """Whether nothing follows by itself."""
        return self in (Phase.PROMOTED, Phase.ROLLED_BACK, Phase.ABORTED)


#: Phases in which the canary has a share and the judge evaluates.
LIVE = (Phase.PROGRESSING, Phase.PAUSED)
#: Phases that the scheduler looks at.
UNFINISHED = (Phase.MEASURING, *LIVE, Phase.ROLLING_BACK)


class Action(StrEnum):
    """What can happen to a rollout: the operator's verbs, and what follows by itself.

    measure: the control alone is watched first. hold: nothing. ask: an approval is asked for. open_epoch: a new
    application version was seen. ramp_down: a freeze takes the share back to the first stage's. verify: a rollback has
    reached everybody.
    """

    MEASURE = "measure"
    START = "start"
    HOLD = "hold"
    PAUSE = "pause"
    RESUME = "resume"
    SET_SHARE = "set_share"
    ASK = "ask"
    APPROVE = "approve"
    ADVANCE = "advance"
    OPEN_EPOCH = "open_epoch"
    RAMP_DOWN = "ramp_down"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    VERIFY = "verify"
    ABORT = "abort"
    RE_ARM = "re_arm"


#: What people do not ask for by name: what the judge does, and what `start` does first where a plan says `measure`.
NO_VERBS = frozenset({Action.MEASURE, Action.HOLD, Action.ASK, Action.OPEN_EPOCH, Action.RAMP_DOWN, Action.VERIFY})

TRANSITIONS: dict[tuple[Phase, Action], Phase] = {
    (Phase.DRAFT, Action.MEASURE): Phase.MEASURING,
    (Phase.DRAFT, Action.START): Phase.PROGRESSING,
    (Phase.DRAFT, Action.ABORT): Phase.ABORTED,
    (Phase.MEASURING, Action.START): Phase.PROGRESSING,
    (Phase.MEASURING, Action.ABORT): Phase.ABORTED,
    (Phase.PROGRESSING, Action.SET_SHARE): Phase.PROGRESSING,
    (Phase.PROGRESSING, Action.OPEN_EPOCH): Phase.PROGRESSING,
    (Phase.PROGRESSING, Action.ASK): Phase.PROGRESSING,
    (Phase.PROGRESSING, Action.APPROVE): Phase.PROGRESSING,
    (Phase.PROGRESSING, Action.ADVANCE): Phase.PROGRESSING,
    (Phase.PROGRESSING, Action.RAMP_DOWN): Phase.PROGRESSING,
    (Phase.PROGRESSING, Action.PAUSE): Phase.PAUSED,
    (Phase.PROGRESSING, Action.PROMOTE): Phase.PROMOTED,
    (Phase.PROGRESSING, Action.ROLLBACK): Phase.ROLLING_BACK,
    (Phase.PAUSED, Action.SET_SHARE): Phase.PAUSED,
    (Phase.PAUSED, Action.OPEN_EPOCH): Phase.PAUSED,
    (Phase.PAUSED, Action.APPROVE): Phase.PAUSED,
    (Phase.PAUSED, Action.RAMP_DOWN): Phase.PAUSED,
    (Phase.PAUSED, Action.RESUME): Phase.PROGRESSING,
    (Phase.PAUSED, Action.PROMOTE): Phase.PROMOTED,
    (Phase.PAUSED, Action.ROLLBACK): Phase.ROLLING_BACK,
    (Phase.ROLLING_BACK, Action.VERIFY): Phase.ROLLED_BACK,
    (Phase.ROLLED_BACK, Action.RE_ARM): Phase.DRAFT,
    (Phase.ABORTED, Action.RE_ARM): Phase.DRAFT,
}


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout as it is kept.

    Attributes:
        weight: the canary's present share in parts of 10,000.
        stage: index of the present stage.
        epoch: the evidence epoch; grows when the share, the targeting or the application's version changes.
        version: grows by one with each change; a change names the version it was read at.
        round: how often it has been started; a re-armed rollout begins a new round with the same salt.
        floor_ppm, constants: frozen at start; the floor of the leading guard, the constants in canonical form.
        started_by: who started this round.
        approval_asked_ms: when an approval of the next stage was asked for; approved: for which stage one was given.
        versions: application versions that clients of this round have reported.
        cool_until_ms: after a rollback nothing is started before this.
        unknown: what of its plan a newer release has written and this one does not know; it is not judged by the rest.
        detected_ms, decided_ms, verified_ms: of the rollback. revision: the snapshot that told clients the share.
    """

    key: str
    flag_key: str
    control: str
    canary: str
    plan: Plan
    phase: Phase = Phase.DRAFT
    stage: int = 0
    weight: int = 0
    epoch: int = 0
    version: int = 1
    round: int = 0
    floor_ppm: int | None = None
    constants: str | None = None
    started_by: str = ""
    approval_asked_ms: int | None = None
    approved: int | None = None
    versions: tuple[str, ...] = ()
    created_ms: int = 0
    started_ms: int | None = None
    stage_started_ms: int | None = None
    paused_ms: int | None = None
    detected_ms: int | None = None
    decided_ms: int | None = None
    verified_ms: int | None = None
    ended_ms: int | None = None
    cool_until_ms: int | None = None
    revision: int | None = None
    unknown: tuple[str, ...] = ()

    @property
    def salt(self) -> str:
        """The bucket's salt: of the flag and the rollout's key, so that starting it again reaches the same users."""
        return blake2b(f"{self.flag_key}/{self.key}".encode(), digest_size=8).hexdigest()

    @property
    def present_stage(self) -> Stage:
        """The stage it is in."""
        return self.plan.stages[self.stage]

    @property
    def next_stage(self) -> int | None:
        """The first stage with a larger share than the present one, which may have been set by hand; None: promote."""
        larger = (at for at in range(len(self.plan.stages)) if self.plan.weight_of(at) > self.weight)
        return next(larger, None)

    @property
    def on_last_stage(self) -> bool:
        """Whether promotion comes next."""
        return self.next_stage is None

    @property
    def approval(self) -> Approval | None:
        """What entering the next stage asks for."""
        following = self.next_stage
        return None if following is None else self.plan.stages[following].approval

    @property
    def ramps_to(self) -> int:
        """The share that a freeze takes it back to: the first stage's, which is the smallest."""
        return self.plan.weight_of(0)

    @property
    def answers(self) -> tuple[object, ...]:
        """What clients are told of it: a change here needs a new snapshot."""
        return (self.phase.published, self.phase is Phase.PROMOTED, self.weight, self.epoch)

    def baked(self, now_ms: int) -> bool:
        """Whether the present stage has had its time."""
        return self.stage_started_ms is not None and now_ms - self.stage_started_ms >= self.present_stage.bake_ms

    def out_of_patience(self, now_ms: int) -> bool:
        """Whether the stage has had its bake time and the plan's patience beyond it."""
        return self.baked(now_ms - self.plan.patience_ms)


def next_phase(phase: Phase, action: Action) -> Phase:
    """The phase after an action.

    Raises:
        WrongPhase: the table has no such row; the message lists what is possible.
    """
    try:
        return TRANSITIONS[phase, action]
    except KeyError:
        possible = sorted({a.value for p, a in TRANSITIONS if p is phase and a not in NO_VERBS})
        nothing = "it is final" if phase.final else "wait until the rollback is verified"
        hint = f"possible now: {', '.join(possible)}" if possible else nothing
        raise WrongPhase(f"cannot {action.value} a rollout that is {phase.value}; {hint}") from None


def after(rollout: Rollout, action: Action, now_ms: int) -> Rollout:
    """The rollout after an action, with the next version.

    Raises:
        WrongPhase: the action does not fit the phase, or there is no stage to advance to.
    """
    moved = replace(rollout, phase=next_phase(rollout.phase, action), version=rollout.version + 1)
    return _EFFECTS.get(action, _ended)(moved, now_ms)


def with_share(rollout: Rollout, weight: int, now_ms: int) -> Rollout:
    """The rollout with a share set by hand: a new evidence epoch, whose bake time begins now.

    Raises:
        WrongPhase: it has no share to set.
    """
    phase = next_phase(rollout.phase, Action.SET_SHARE)
    return replace(
        rollout,
        phase=phase,
        version=rollout.version + 1,
        weight=weight,
        epoch=rollout.epoch + 1,
        stage_started_ms=now_ms,
        paused_ms=now_ms if phase is Phase.PAUSED else None,
        approval_asked_ms=None,
        approved=None,
    )


def _measuring(moved: Rollout, now_ms: int) -> Rollout:
    return replace(moved, epoch=moved.epoch + 1, started_ms=now_ms, ended_ms=None)


def _started(moved: Rollout, now_ms: int) -> Rollout:
    begun = replace(moved, round=moved.round + 1, started_ms=moved.started_ms or now_ms, ended_ms=None)
    return _in_stage(begun, 0, now_ms)


def _advanced(moved: Rollout, now_ms: int) -> Rollout:
    if moved.next_stage is None:
        raise WrongPhase("the last stage is reached; promote or roll back")
    return _in_stage(moved, moved.next_stage, now_ms)


def _ramped_down(moved: Rollout, now_ms: int) -> Rollout:
    """In the first stage again, with its bake time before it; paused if it was. A smaller share stays as it is."""
    paused_ms = now_ms if moved.phase is Phase.PAUSED else None
    return replace(_in_stage(moved, 0, now_ms), weight=min(moved.weight, moved.ramps_to), paused_ms=paused_ms)


def _paused(moved: Rollout, now_ms: int) -> Rollout:
    return replace(moved, paused_ms=now_ms)


def _asked(moved: Rollout, now_ms: int) -> Rollout:
    return replace(moved, approval_asked_ms=now_ms)


def _approved(moved: Rollout, now_ms: int) -> Rollout:  # noqa: ARG001 - all effects have one form
    return replace(moved, approved=moved.next_stage)


def _in_new_epoch(moved: Rollout, now_ms: int) -> Rollout:  # noqa: ARG001 - all effects have one form
    return replace(moved, epoch=moved.epoch + 1)


def _rolled_back(moved: Rollout, now_ms: int) -> Rollout:
    cool_until_ms = now_ms + moved.plan.cool_down_ms
    return replace(moved, weight=0, epoch=moved.epoch + 1, decided_ms=now_ms, cool_until_ms=cool_until_ms)


def _verified(moved: Rollout, now_ms: int) -> Rollout:
    return replace(moved, verified_ms=now_ms, ended_ms=now_ms)


def _ended(moved: Rollout, now_ms: int) -> Rollout:
    return replace(moved, ended_ms=now_ms)


def _re_armed(rollout: Rollout, now_ms: int) -> Rollout:  # noqa: ARG001 - all effects have one form
    """A draft again: what the last round left behind is in its history; the epoch and the salt go on."""
    kept = ("key", "flag_key", "control", "canary", "plan", "phase", "epoch", "version", "round", "created_ms")
    return Rollout(**{name: getattr(rollout, name) for name in kept}, cool_until_ms=rollout.cool_until_ms)


def retargeted(rollout: Rollout) -> Rollout:
    """The rollout after a change of its flag's targeting: other users, so a new evidence epoch and the next version."""
    return replace(rollout, epoch=rollout.epoch + 1, version=rollout.version + 1)


def _in_stage(rollout: Rollout, stage: int, now_ms: int) -> Rollout:
    return replace(
        rollout,
        stage=stage,
        weight=rollout.plan.weight_of(stage),
        epoch=rollout.epoch + 1,
        stage_started_ms=now_ms,
        paused_ms=None,
        approval_asked_ms=None,
        approved=None,
    )


def _resumed(moved: Rollout, now_ms: int) -> Rollout:
    """The stage goes on where it was paused; what it paused for, patience or an approval, has its time anew."""
    away = now_ms - (moved.paused_ms or now_ms)
    began_ms = max((moved.stage_started_ms or now_ms) + away, now_ms - moved.present_stage.bake_ms)
    return replace(moved, stage_started_ms=began_ms, paused_ms=None, approval_asked_ms=None)


_EFFECTS: dict[Action, Callable[[Rollout, int], Rollout]] = {
    Action.MEASURE: _measuring,
    Action.START: _started,
    Action.ADVANCE: _advanced,
    Action.RAMP_DOWN: _ramped_down,
    Action.PAUSE: _paused,
    Action.RESUME: _resumed,
    Action.ASK: _asked,
    Action.APPROVE: _approved,
    Action.OPEN_EPOCH: _in_new_epoch,
    Action.ROLLBACK: _rolled_back,
    Action.VERIFY: _verified,
    Action.RE_ARM: _re_armed,
}
