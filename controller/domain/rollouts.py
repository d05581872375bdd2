"""The rollout and its life cycle. The table below is specification, code, documentation and test matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b

from controller.domain.errors import WrongPhase
from controller.domain.plans import Plan, Stage


class Phase(StrEnum):
    """Where a rollout stands; promoted, rolled_back and aborted are final."""

    DRAFT = "draft"
    PROGRESSING = "progressing"
    PAUSED = "paused"
    ROLLING_BACK = "rolling_back"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"

    @property
    def live(self) -> bool:
        """Whether users can see the canary in this phase."""
        return self in LIVE

    @property
    def final(self) -> bool:
        """Whether nothing follows."""
        return self in (Phase.PROMOTED, Phase.ROLLED_BACK, Phase.ABORTED)


#: Phases in which the canary has a share and the judge evaluates.
LIVE = (Phase.PROGRESSING, Phase.PAUSED)


class Action(StrEnum):
    """What can happen to a rollout; the operator's verbs, and `hold` and `verify`, which only the judge uses."""

    START = "start"
    HOLD = "hold"
    PAUSE = "pause"
    RESUME = "resume"
    ADVANCE = "advance"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    VERIFY = "verify"
    ABORT = "abort"


TRANSITIONS: dict[tuple[Phase, Action], Phase] = {
    (Phase.DRAFT, Action.START): Phase.PROGRESSING,
    (Phase.DRAFT, Action.ABORT): Phase.ABORTED,
    (Phase.PROGRESSING, Action.ADVANCE): Phase.PROGRESSING,
    (Phase.PROGRESSING, Action.PAUSE): Phase.PAUSED,
    (Phase.PROGRESSING, Action.PROMOTE): Phase.PROMOTED,
    (Phase.PROGRESSING, Action.ROLLBACK): Phase.ROLLING_BACK,
    (Phase.PAUSED, Action.RESUME): Phase.PROGRESSING,
    (Phase.PAUSED, Action.PROMOTE): Phase.PROMOTED,
    (Phase.PAUSED, Action.ROLLBACK): Phase.ROLLING_BACK,
    (Phase.ROLLING_BACK, Action.VERIFY): Phase.ROLLED_BACK,
}


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout as it is kept.

    Attributes:
        weight: the canary's present share in parts of 10,000.
        stage: index of the present stage.
        epoch: the evidence epoch; grows when the share or the targeting changes.
        version: grows by one with each change; a change names the version it was read at.
        floor_permille, constants: frozen at start; the constants in their canonical form.
        stage_started_ms: when the present stage began, moved on by the time spent paused.
        detected_ms, decided_ms, verified_ms: three of a rollback's times; clients' times are in the verification.
        revision: the snapshot revision that told clients of its present share.
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
    floor_permille: int | None = None
    constants: str | None = None
    created_ms: int = 0
    started_ms: int | None = None
    stage_started_ms: int | None = None
    paused_ms: int | None = None
    detected_ms: int | None = None
    decided_ms: int | None = None
    verified_ms: int | None = None
    ended_ms: int | None = None
    revision: int | None = None

    @property
    def salt(self) -> str:
        """The bucket's salt: of the flag and the rollout's key, so that starting it again reaches the same users."""
        return blake2b(f"{self.flag_key}/{self.key}".encode(), digest_size=8).hexdigest()

    @property
    def present_stage(self) -> Stage:
        """The stage it is in."""
        return self.plan.stages[self.stage]

    @property
    def on_last_stage(self) -> bool:
        """Whether promotion comes next."""
        return self.stage == len(self.plan.stages) - 1

    @property
    def answers(self) -> tuple[object, ...]:
        """What clients are told of it: a change here needs a new snapshot."""
        return (self.phase.live, self.phase is Phase.PROMOTED, self.weight, self.epoch)

    def baked(self, now_ms: int) -> bool:
        """Whether the present stage has had its time."""
        return self.stage_started_ms is not None and now_ms - self.stage_started_ms >= self.present_stage.bake_ms


def next_phase(phase: Phase, action: Action) -> Phase:
    """The phase after an action.

    Raises:
        WrongPhase: the table has no such row; the message lists what is possible.
    """
    try:
        return TRANSITIONS[phase, action]
    except KeyError:
        possible = sorted({a.value for p, a in TRANSITIONS if p is phase and a is not Action.VERIFY})
        nothing = "it is final" if phase.final else "wait until the rollback is verified"
        hint = f"possible now: {', '.join(possible)}" if possible else nothing
        raise WrongPhase(f"cannot {action.value} a rollout that is {phase.value}; {hint}") from None


def after(rollout: Rollout, action: Action, now_ms: int) -> Rollout:
    """The rollout after an action, with the next version.

    Raises:
        WrongPhase: the action does not fit the phase, or there is no stage to advance to.
    """
    moved = replace(rollout, phase=next_phase(rollout.phase, action), version=rollout.version + 1)
    match action:
        case Action.START:
            return _in_stage(replace(moved, started_ms=now_ms), 0, now_ms)
        case Action.ADVANCE:
            if rollout.on_last_stage:
                raise WrongPhase("the last stage is reached; promote or roll back")
            return _in_stage(moved, rollout.stage + 1, now_ms)
        case Action.PAUSE:
            return replace(moved, paused_ms=now_ms)
        case Action.RESUME:
            return _resumed(moved, now_ms)
        case Action.ROLLBACK:
            return replace(moved, weight=0, epoch=rollout.epoch + 1, decided_ms=now_ms)
        case Action.VERIFY:
            return replace(moved, verified_ms=now_ms, ended_ms=now_ms)
        case _:
            return replace(moved, ended_ms=now_ms)


def retargeted(rollout: Rollout) -> Rollout:
    """The rollout after a change of its flag's targeting: other users, so a new evidence epoch and the next version."""
    return replace(rollout, epoch=rollout.epoch + 1, version=rollout.version + 1)


def _in_stage(rollout: Rollout, stage: int, now_ms: int) -> Rollout:
    weight, epoch = rollout.plan.stages[stage].weight, rollout.epoch + 1
    return replace(rollout, stage=stage, weight=weight, epoch=epoch, stage_started_ms=now_ms, paused_ms=None)


def _resumed(rollout: Rollout, now_ms: int) -> Rollout:
    away = now_ms - (rollout.paused_ms or now_ms)
    return replace(rollout, stage_started_ms=(rollout.stage_started_ms or now_ms) + away, paused_ms=None)
