"""From a verdict to an act. Bad news at once, good news after baking; inconclusive never promotes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from controller.domain.freezes import Held
from controller.domain.judge.findings import Analysis, Effect, Verdict
from controller.domain.plans import Mode, Otherwise
from controller.domain.rollouts import Action, Phase, Rollout


class Agreement(StrEnum):
    """A person's agreement to the next stage: none is needed, or it is to be asked for, asked, given, or too late."""

    NONE = "none"
    NEEDED = "needed"
    ASKED = "asked"
    GIVEN = "given"
    LATE = "late"


#: (verdict, baked, last stage) while progressing; None stands for any.
TABLE: dict[tuple[Verdict, bool | None, bool | None], Action] = {
    (Verdict.INCONCLUSIVE, None, None): Action.HOLD,
    (Verdict.PASS, False, None): Action.HOLD,
    (Verdict.PASS, True, False): Action.ADVANCE,
    (Verdict.PASS, True, True): Action.PROMOTE,
}
#: What becomes of an advance that needs a person's agreement.
AGREED: dict[Agreement, Action] = {
    Agreement.NONE: Action.ADVANCE,
    Agreement.NEEDED: Action.ASK,
    Agreement.ASKED: Action.HOLD,
    Agreement.GIVEN: Action.ADVANCE,
}
_OTHERWISE = {
    Otherwise.PAUSE: Action.PAUSE,
    Otherwise.ROLLBACK: Action.ROLLBACK,
    Otherwise.ADVANCE: Action.ADVANCE,
}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What besides the verdict bears on a decision.

    Attributes:
        otherwise: what happens when an agreement comes too late.
        out_of_patience: the stage has been inconclusive for too long.
        killed: the flag's kill switch is off, so that nobody sees the canary.
        fresh_versions: application versions that were not there before: nothing is proven of them.
        frozen: the freeze that holds it, in words; empty where none does.
        ramps: the freeze takes the share back to the first stage's, and it is larger.
    """

    phase: Phase
    baked: bool
    last_stage: bool
    mode: Mode = Mode.ENFORCE
    instances_behind: int = 0
    agreement: Agreement = Agreement.NONE
    otherwise: Otherwise = Otherwise.PAUSE
    out_of_patience: bool = False
    killed: bool = False
    fresh_versions: tuple[str, ...] = ()
    frozen: str = ""
    ramps: bool = False

    def plain(self) -> dict[str, Any]:
        """The stored form; freezes stand in it only where there are any, since earlier releases do not know them."""
        stored = {**asdict(self), "fresh_versions": list(self.fresh_versions)}
        return stored if self.frozen else {name: stored[name] for name in stored if name not in ("frozen", "ramps")}


def circumstances_from(raw: Mapping[str, Any]) -> Circumstances:
    """The circumstances as they were stored."""
    kinds: dict[str, Any] = {
        "phase": Phase,
        "mode": Mode,
        "agreement": Agreement,
        "otherwise": Otherwise,
        "fresh_versions": tuple,
    }
    return Circumstances(**{name: kinds[name](value) if name in kinds else value for name, value in raw.items()})


def circumstances_of(
    rollout: Rollout,
    now_ms: int,
    *,
    instances_behind: int = 0,
    killed: bool = False,
    versions: Collection[str] = (),
    frozen: Held = Held(),  # noqa: B008 - it never changes
) -> Circumstances:
    """What bears on a rollout's decision now; `versions` are those that live instances report."""
    approval = rollout.approval
    return Circumstances(
        phase=rollout.phase,
        baked=rollout.baked(now_ms),
        last_stage=rollout.on_last_stage,
        mode=rollout.plan.mode,
        instances_behind=instances_behind,
        agreement=_agreement(rollout, now_ms),
        otherwise=approval.otherwise if approval else Otherwise.PAUSE,
        out_of_patience=rollout.out_of_patience(now_ms),
        killed=killed,
        fresh_versions=tuple(sorted(set(versions) - set(rollout.versions))) if rollout.versions else (),
        frozen=frozen.words,
        ramps=frozen.ramps and rollout.weight > rollout.ramps_to,
    )


def _agreement(rollout: Rollout, now_ms: int) -> Agreement:
    if rollout.approval is None:
        return Agreement.NONE
    if rollout.approved is not None and rollout.approved == rollout.next_stage:
        return Agreement.GIVEN
    if rollout.approval_asked_ms is None:
        return Agreement.NEEDED
    late = now_ms - rollout.approval_asked_ms >= rollout.approval.within_ms
    return Agreement.LATE if late else Agreement.ASKED


@dataclass(frozen=True, slots=True)
class Choice:
    """What is done, and what would be done if the judge were allowed to act; the same unless it only observes."""

    act: Action
    would: Action


def decide(analysis: Analysis, seen: Circumstances) -> Choice:
    """What to do: a failure acts in every live phase; good news waits for the bake, for every instance, for resume."""
    would = _would(analysis, seen)
    moves_nobody = would in (Action.HOLD, Action.OPEN_EPOCH)
    return Choice(would if moves_nobody or seen.mode is Mode.ENFORCE else Action.HOLD, would)


def _would(analysis: Analysis, seen: Circumstances) -> Action:
    if analysis.effect is Effect.ROLLBACK:
        return Action.ROLLBACK
    if analysis.effect is Effect.PAUSE:
        return Action.HOLD if seen.phase is Phase.PAUSED else Action.PAUSE
    if seen.fresh_versions:
        return Action.OPEN_EPOCH
    if seen.ramps:
        return Action.RAMP_DOWN
    if seen.phase is not Phase.PROGRESSING or seen.killed:
        return Action.HOLD
    return _unless_bad(analysis, seen)


def _unless_bad(analysis: Analysis, seen: Circumstances) -> Action:
    """What a progressing rollout does where nothing speaks against the canary."""
    if seen.agreement is Agreement.LATE and seen.otherwise is not Otherwise.ADVANCE:
        return _OTHERWISE[seen.otherwise]
    if analysis.verdict is Verdict.INCONCLUSIVE and seen.out_of_patience:
        return Action.PAUSE
    if seen.instances_behind:
        return Action.HOLD
    for (verdict, baked, last), action in TABLE.items():
        if verdict is analysis.verdict and baked in (None, seen.baked) and last in (None, seen.last_stage):
            return _unless_frozen(_agreed(seen) if action is Action.ADVANCE else action, seen)
    raise AssertionError(f"no row for {analysis.verdict}")


def _unless_frozen(action: Action, seen: Circumstances) -> Action:
    """A freeze holds what would show the canary to more users, and asks nobody to agree to it."""
    grows = action in (Action.ADVANCE, Action.PROMOTE, Action.ASK)
    return Action.HOLD if seen.frozen and grows else action


def _agreed(seen: Circumstances) -> Action:
    return _OTHERWISE[seen.otherwise] if seen.agreement is Agreement.LATE else AGREED[seen.agreement]


def why_held(analysis: Analysis, seen: Circumstances) -> str:
    """What a hold waits for, in words."""
    if seen.phase is Phase.PAUSED:
        return "paused; a person resumes or rolls back"
    if seen.killed:
        return "the flag is killed, so nobody sees the canary; enable it to go on"
    if analysis.verdict is Verdict.INCONCLUSIVE:
        return "; ".join(lack.text for lack in analysis.lacking) or "not enough evidence yet"
    if seen.instances_behind:
        return f"proven; {seen.instances_behind} live instance(s) are still on an older revision"
    if seen.baked and seen.frozen:
        return f"proven; held by {seen.frozen}"
    if seen.baked and seen.agreement is Agreement.ASKED:
        return "proven; the next stage waits for an approval"
    return "proven; the bake time is not over"
