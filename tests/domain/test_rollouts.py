"""The life cycle as a matrix."""

from itertools import product

import pytest

from controller.domain.errors import WrongPhase
from controller.domain.rollouts import TRANSITIONS, Action, Phase, Rollout, after, next_phase
from tests.domain.builders import MINUTE, NOW, plan, rollout

S, P, A, R, X = Action.START, Action.PAUSE, Action.ADVANCE, Action.ROLLBACK, Action.ABORT
#: What the documentation promises, written by hand: phase by phase, each allowed action and where it leads.
MATRIX = {
    Phase.DRAFT: {S: Phase.PROGRESSING, X: Phase.ABORTED},
    Phase.PROGRESSING: {
        A: Phase.PROGRESSING,
        P: Phase.PAUSED,
        Action.PROMOTE: Phase.PROMOTED,
        R: Phase.ROLLING_BACK,
    },
    Phase.PAUSED: {Action.RESUME: Phase.PROGRESSING, Action.PROMOTE: Phase.PROMOTED, R: Phase.ROLLING_BACK},
    Phase.ROLLING_BACK: {Action.VERIFY: Phase.ROLLED_BACK},
    Phase.PROMOTED: {},
    Phase.ROLLED_BACK: {},
    Phase.ABORTED: {},
}


def at(*actions: Action, now_ms: int = NOW) -> Rollout:
    """A rollout that has been through these."""
    moved = rollout()
    for action in actions:
        moved = after(moved, action, now_ms)
    return moved


@pytest.mark.parametrize(("phase", "action"), list(product(Phase, Action)), ids=lambda value: value.value)
def test_the_table_allows_exactly_what_is_promised(phase: Phase, action: Action):
    expected = MATRIX[phase].get(action)
    if expected is not None:
        assert next_phase(phase, action) is expected
    else:
        with pytest.raises(WrongPhase, match=f"cannot {action.value} a rollout that is {phase.value}"):
            next_phase(phase, action)


def test_the_table_has_no_other_rows():
    assert {(phase, action): to for phase, row in MATRIX.items() for action, to in row.items()} == TRANSITIONS


def test_a_phase_is_live_or_final_or_neither():
    assert [phase for phase in Phase if phase.live] == [Phase.PROGRESSING, Phase.PAUSED]
    assert [phase for phase in Phase if phase.final] == [phase for phase, row in MATRIX.items() if not row]


def test_a_refusal_lists_what_is_possible():
    with pytest.raises(WrongPhase, match="possible now: abort, start"):
        next_phase(Phase.DRAFT, Action.PROMOTE)
    with pytest.raises(WrongPhase, match="it is final"):
        next_phase(Phase.PROMOTED, Action.START)
    with pytest.raises(WrongPhase, match="wait until the rollback is verified"):
        next_phase(Phase.ROLLING_BACK, Action.START)


def test_start_gives_the_first_share_and_opens_an_epoch():
    started = at(S)
    assert (started.stage, started.weight, started.epoch, started.version) == (0, 100, 1, 2)
    assert started.started_ms == started.stage_started_ms == NOW


def test_advance_goes_through_the_stages_and_no_further():
    last = at(S, A, A)
    assert (last.stage, last.weight, last.epoch, last.on_last_stage) == (2, 10_000, 3, True)
    with pytest.raises(WrongPhase, match="promote or roll back"):
        after(last, A, NOW)


def test_a_rollback_takes_the_canary_away_at_once_and_ends_when_it_is_verified():
    going = at(S, A, R)
    assert (going.phase, going.weight, going.epoch, going.decided_ms) == (Phase.ROLLING_BACK, 0, 3, NOW)
    assert going.ended_ms is None
    gone = after(going, Action.VERIFY, NOW + 5)
    assert (gone.phase, gone.verified_ms, gone.ended_ms) == (Phase.ROLLED_BACK, NOW + 5, NOW + 5)


def test_a_paused_rollout_keeps_its_share_and_can_be_rolled_back():
    paused = at(S, A, P)
    assert (paused.phase, paused.weight, paused.epoch) == (Phase.PAUSED, 1_000, 2)
    assert after(paused, R, NOW).weight == 0


def test_the_time_spent_paused_is_not_baked():
    started = at(S)
    paused = after(started, P, NOW + 4 * MINUTE)
    resumed = after(paused, Action.RESUME, NOW + 64 * MINUTE)
    assert resumed.paused_ms is None
    assert not resumed.baked(NOW + 70 * MINUTE - 1)
    assert resumed.baked(NOW + 70 * MINUTE)


def test_a_stage_is_baked_after_its_time_and_a_draft_never_is():
    assert not rollout().baked(NOW)
    assert not at(S).baked(NOW + 10 * MINUTE - 1)
    assert at(S).baked(NOW + 10 * MINUTE)


def test_the_salt_is_of_the_flag_and_the_rollout_so_that_starting_again_reaches_the_same_users():
    assert rollout().salt == rollout(version=9, canary="other").salt
    assert len({rollout().salt, rollout(key="r2").salt, rollout(flag_key="f2").salt}) == 3


@pytest.mark.parametrize("action", [S, A, R])
def test_clients_are_told_of_each_change_of_the_share(action: Action):
    before = rollout() if action is S else at(S)
    assert after(before, action, NOW).answers != before.answers


def test_clients_are_told_of_a_promotion_and_not_of_a_pause():
    started = at(S)
    assert after(started, Action.PROMOTE, NOW).answers != started.answers
    assert after(started, P, NOW).answers == started.answers


def test_a_single_stage_is_the_first_and_the_last():
    only = after(rollout(plan=plan(10_000)), S, NOW)
    assert only.on_last_stage
    assert only.present_stage.weight == 10_000
