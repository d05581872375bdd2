"""From a verdict to an act: the whole table."""

from itertools import product
from typing import Any

import pytest

from controller.domain.decisions import Circumstances, decide, why_held
from controller.domain.judge.findings import Verdict
from controller.domain.plans import GuardAction
from controller.domain.rollouts import LIVE, TRANSITIONS, Action, Phase

BOTH = (False, True)
#: Every circumstance of a live rollout: phase, baked, last stage, the guard's action, instances behind.
EVERY = [
    Circumstances(phase=phase, baked=baked, last_stage=last, on_fail=on_fail, instances_behind=behind)
    for phase, baked, last, on_fail, behind in product(LIVE, BOTH, BOTH, GuardAction, (0, 2))
]


def seen(**fields: Any) -> Circumstances:
    given = {"phase": Phase.PROGRESSING, "baked": True, "last_stage": False, "on_fail": GuardAction.ROLLBACK}
    return Circumstances(**{**given, **fields})


@pytest.mark.parametrize("circumstances", EVERY, ids=str)
def test_a_failure_acts_in_every_live_phase_whatever_else_is_true(circumstances: Circumstances):
    expected = {
        (GuardAction.ROLLBACK, Phase.PROGRESSING): Action.ROLLBACK,
        (GuardAction.ROLLBACK, Phase.PAUSED): Action.ROLLBACK,
        (GuardAction.PAUSE, Phase.PROGRESSING): Action.PAUSE,
        (GuardAction.PAUSE, Phase.PAUSED): Action.HOLD,
    }
    assert decide(Verdict.FAIL, circumstances) is expected[circumstances.on_fail, circumstances.phase]


@pytest.mark.parametrize("circumstances", EVERY, ids=str)
def test_inconclusive_never_promotes_and_never_advances(circumstances: Circumstances):
    assert decide(Verdict.INCONCLUSIVE, circumstances) is Action.HOLD


@pytest.mark.parametrize("circumstances", EVERY, ids=str)
def test_a_pass_moves_on_only_when_progressing_baked_and_with_every_instance_up_to_date(circumstances: Circumstances):
    free = circumstances.phase is Phase.PROGRESSING and circumstances.baked and not circumstances.instances_behind
    onward = Action.PROMOTE if circumstances.last_stage else Action.ADVANCE
    assert decide(Verdict.PASS, circumstances) is (onward if free else Action.HOLD)


@pytest.mark.parametrize("circumstances", EVERY, ids=str)
@pytest.mark.parametrize("verdict", Verdict)
def test_whatever_is_decided_the_life_cycle_allows(verdict: Verdict, circumstances: Circumstances):
    action = decide(verdict, circumstances)
    assert action is Action.HOLD or (circumstances.phase, action) in TRANSITIONS


@pytest.mark.parametrize(
    ("verdict", "fields", "lacking", "words"),
    [
        (Verdict.PASS, {"phase": Phase.PAUSED}, (), "paused; a person resumes or rolls back"),
        (Verdict.INCONCLUSIVE, {}, ("too few", "too bad"), "too few; too bad"),
        (Verdict.INCONCLUSIVE, {}, (), "not enough evidence yet"),
        (Verdict.PASS, {"instances_behind": 3}, (), "3 live instance(s) are still on an older revision"),
        (Verdict.PASS, {"baked": False}, (), "the bake time is not over"),
    ],
)
def test_a_hold_says_what_it_waits_for(verdict: Verdict, fields: dict[str, Any], lacking: tuple[str, ...], words: str):
    assert words in why_held(verdict, seen(**fields), lacking)
