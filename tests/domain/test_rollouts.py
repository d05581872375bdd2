"""The life cycle as a matrix."""

from itertools import product

import pytest

from controller.domain.errors import WrongPhase
from controller.domain.plans import Approval, Plan, Stage
from controller.domain.rollouts import TRANSITIONS, Action, Phase, Rollout, after, next_phase, with_share
from tests.domain.builders import MINUTE, NOW, plan, rollout

S, P, A, R, X = Action.START, Action.PAUSE, Action.ADVANCE, Action.ROLLBACK, Action.ABORT
#: What the documentation promises, written by hand: phase by phase, each allowed action and where it leads.
MATRIX = {
    Phase.DRAFT: {Action.MEASURE: Phase.MEASURING, S: Phase.PROGRESSING, X: Phase.ABORTED},
    Phase.MEASURING: {S: Phase.PROGRESSING, X: Phase.ABORTED},
    Phase.PROGRESSING: {
        Action.SET_SHARE: Phase.PROGRESSING,
        Action.OPEN_EPOCH: Phase.PROGRESSING,
        Action.RAMP_DOWN: Phase.PROGRESSING,
        Action.ASK: Phase.PROGRESSING,
        Action.APPROVE: Phase.PROGRESSING,
        A: Phase.PROGRESSING,
        P: Phase.PAUSED,
        Action.PROMOTE: Phase.PROMOTED,
        R: Phase.ROLLING_BACK,
    },
    Phase.PAUSED: {
        Action.SET_SHARE: Phase.PAUSED,
        Action.OPEN_EPOCH: Phase.PAUSED,
        Action.RAMP_DOWN: Phase.PAUSED,
        Action.APPROVE: Phase.PAUSED,
        Action.RESUME: Phase.PROGRESSING,
        Action.PROMOTE: Phase.PROMOTED,
        R: Phase.ROLLING_BACK,
    },
    Phase.ROLLING_BACK: {Action.VERIFY: Phase.ROLLED_BACK},
    Phase.PROMOTED: {},
    Phase.ROLLED_BACK: {Action.RE_ARM: Phase.DRAFT},
    Phase.ABORTED: {Action.RE_ARM: Phase.DRAFT},
}
#: A plan with a stage that asks for an approval.
ASKING = Plan((Stage(100, 10 * MINUTE), Stage(1_000, 10 * MINUTE, Approval()), Stage(10_000, 10 * MINUTE)))


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
    assert [phase for phase in Phase if phase.published] == [Phase.MEASURING, Phase.PROGRESSING, Phase.PAUSED]
    leads_on = {Action.RE_ARM}
    assert [phase for phase in Phase if phase.final] == [p for p, row in MATRIX.items() if row.keys() <= leads_on]


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


# --- measuring ---


def test_while_the_control_is_measured_nobody_sees_the_canary_and_clients_count():
    measuring = after(rollout(), Action.MEASURE, NOW)
    assert (measuring.phase, measuring.weight, measuring.epoch, measuring.round) == (Phase.MEASURING, 0, 1, 0)
    assert measuring.answers != rollout().answers
    begun = after(measuring, S, NOW + MINUTE)
    assert (begun.weight, begun.epoch, begun.round, begun.started_ms) == (100, 2, 1, NOW)
    assert begun.stage_started_ms == NOW + MINUTE


# --- a share set by hand ---


def test_a_share_set_by_hand_opens_an_epoch_whose_bake_time_begins_now():
    moved = with_share(at(S), 2_500, NOW + 9 * MINUTE)
    assert (moved.weight, moved.epoch, moved.stage, moved.version) == (2_500, 2, 0, 3)
    assert not moved.baked(NOW + 19 * MINUTE - 1)
    assert moved.baked(NOW + 19 * MINUTE)


def test_the_next_stage_is_the_first_with_a_larger_share():
    assert at(S).next_stage == 1
    assert with_share(at(S), 2_500, NOW).next_stage == 2
    assert with_share(at(S, A), 500, NOW).next_stage == 1
    assert with_share(at(S), 10_000, NOW).on_last_stage
    assert after(with_share(at(S), 2_500, NOW), A, NOW).weight == 10_000


def test_a_share_set_while_paused_stays_paused_and_its_time_is_not_baked():
    moved = with_share(at(S, P), 500, NOW + MINUTE)
    assert (moved.phase, moved.paused_ms) == (Phase.PAUSED, NOW + MINUTE)
    resumed = after(moved, Action.RESUME, NOW + 61 * MINUTE)
    assert not resumed.baked(NOW + 71 * MINUTE - 1)


def test_a_draft_has_no_share_to_set():
    with pytest.raises(WrongPhase, match="possible now: abort, start"):
        with_share(rollout(), 500, NOW)


# --- approvals ---


def test_an_approval_is_for_the_next_stage_and_is_used_up_by_it():
    started = after(rollout(plan=ASKING), S, NOW)
    approved = after(after(started, Action.ASK, NOW), Action.APPROVE, NOW)
    assert (approved.approval_asked_ms, approved.approved) == (NOW, 1)
    moved = after(approved, A, NOW)
    assert (moved.approval_asked_ms, moved.approved, moved.approval) == (None, None, None)


def test_another_share_makes_an_approval_void():
    approved = after(after(rollout(plan=ASKING), S, NOW), Action.APPROVE, NOW)
    assert with_share(approved, 200, NOW).approved is None


# --- after a rollback ---


def test_a_rolled_back_rollout_that_is_armed_again_is_a_draft_with_the_same_salt():
    gone = at(S, A, R, Action.VERIFY)
    armed = after(gone, Action.RE_ARM, NOW + MINUTE)
    assert (armed.phase, armed.stage, armed.weight, armed.round) == (Phase.DRAFT, 0, 0, 1)
    assert (armed.salt, armed.epoch, armed.version) == (gone.salt, gone.epoch, gone.version + 1)
    assert (armed.started_ms, armed.decided_ms, armed.verified_ms, armed.constants, armed.revision) == (None,) * 5
    again = after(armed, S, NOW + MINUTE)
    assert (again.round, again.epoch, again.started_ms) == (2, gone.epoch + 1, NOW + MINUTE)


def test_the_cool_down_of_a_rollback_outlives_the_arming():
    cooling = after(at(S), R, NOW)
    assert cooling.cool_until_ms == NOW + 10 * MINUTE
    assert after(after(cooling, Action.VERIFY, NOW), Action.RE_ARM, NOW).cool_until_ms == NOW + 10 * MINUTE


def test_a_new_application_version_opens_an_epoch_and_moves_nobody():
    moved = after(at(S), Action.OPEN_EPOCH, NOW)
    assert (moved.epoch, moved.weight, moved.stage_started_ms) == (2, 100, NOW)


def test_a_holdback_makes_the_last_stage_stop_short_of_everybody():
    held = rollout(plan=plan(5_000, 10_000, holdback=500))
    last = after(after(held, S, NOW), A, NOW)
    assert (last.weight, last.on_last_stage) == (9_500, True)
