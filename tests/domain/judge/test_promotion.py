"""What a stage must prove."""

from dataclasses import replace

import pytest

from controller.domain.guards import Guard, GuardAction
from controller.domain.judge.findings import Verdict
from controller.domain.judge.state import NO_UPPER
from controller.domain.ledger import Users
from controller.domain.metrics import LATER, POOLED, UnitKind
from tests.domain.builders import CRITICAL_EVENTS, NEARLY_ALL, STARTED, Judged, constants, frozen, row, rows_for


def proven(control_failed: int = 0, kind: UnitKind = UnitKind.USER_10M) -> Judged:
    """A judge after a slot with far more good canary units than a stage needs, and a control."""
    judged = Judged(constants(960, kind))
    streams = (*CRITICAL_EVENTS, POOLED) if kind is UnitKind.EVENT else CRITICAL_EVENTS
    judged.last = judged.after(*rows_for(streams, 0, 2_000), *rows_for(streams, control_failed, 2_000, arm="control"))
    return judged


@pytest.mark.parametrize("kind", UnitKind)
def test_two_thousand_good_units_of_each_type_pass_a_stage(kind: UnitKind):
    assert proven(kind=kind).last.verdict is Verdict.PASS
    assert proven(kind=kind).last.lacking == ()


def units_needed(kind: UnitKind, streams: tuple[str, ...]) -> int:
    judged = Judged(constants(960, kind))
    for slot in range(1, 2_000):
        divisor = len(CRITICAL_EVENTS) if kind is UnitKind.EVENT else 1
        rows = [row(0, divisor if stream == POOLED else 1, stream) for stream in streams]
        if judged.after(*rows).verdict is Verdict.PASS:
            return slot
    raise AssertionError("never passed")


def test_at_a_margin_of_one_point_a_stage_takes_some_850_units_without_a_failure():
    assert units_needed(UnitKind.USER_10M, CRITICAL_EVENTS) == 848


def test_by_event_those_are_850_events_of_all_types_together():
    assert units_needed(UnitKind.EVENT, (*CRITICAL_EVENTS, POOLED)) == 170


def test_no_evidence_is_no_pass():
    judged = Judged()
    for _ in range(5):
        analysis = judged.after()
        assert analysis.verdict is Verdict.INCONCLUSIVE
        assert [lack.name for lack in analysis.lacking][:2] == ["low_sample", "not_compared"]
        assert "not yet proven above 95 %" in analysis.lacking[0].text
        assert "so far: nothing yet" in analysis.lacking[1].text


def test_one_silent_event_type_holds_the_stage_and_is_named():
    judged = Judged()
    analysis = judged.after(*rows_for(CRITICAL_EVENTS[:-1], 0, 5_000), row(0, 20, CRITICAL_EVENTS[-1]))
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert analysis.lacking[0].text == f"not yet proven above 95 %: {CRITICAL_EVENTS[-1]} (least: 20 units)"


def test_later_outcomes_prove_nothing():
    analysis = Judged().after(row(0, 50_000, LATER))
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert f"not yet proven above 95 %: {', '.join(CRITICAL_EVENTS)}" in analysis.lacking[0].text


def test_a_canary_two_points_worse_than_its_control_is_not_promoted_however_long_it_runs():
    judged = Judged()
    for _ in range(60):
        analysis = judged.after(
            *rows_for(CRITICAL_EVENTS, 30, 1_000), *rows_for(CRITICAL_EVENTS, 10, 1_000, arm="control")
        )
    assert judged.state.promotion.proven == [f"delivery/{name}" for name in CRITICAL_EVENTS]
    assert judged.state.promotion.upper > judged.state.promotion.lower + 10_000
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert "canary failure to be proven below" in analysis.lacking[0].text


def test_the_same_canary_is_promoted_beside_a_control_that_is_no_better():
    judged = Judged()
    verdicts = {
        judged.after(
            *rows_for(CRITICAL_EVENTS, 30, 1_000), *rows_for(CRITICAL_EVENTS, 30, 1_000, arm="control")
        ).verdict
        for _ in range(60)
    }
    assert verdicts == {Verdict.INCONCLUSIVE, Verdict.PASS}


def test_evidence_above_half_its_line_holds_a_stage_that_is_otherwise_proven():
    judged = proven()
    analysis = judged.after(row(0, 0, STARTED), row(9, 60, LATER))
    assert analysis.findings == ()
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert [lack.text for lack in analysis.lacking] == [f"evidence above half its line: {LATER}"]


def test_a_stream_without_traffic_does_not_hold_a_stage():
    judged = proven()
    line = judged.constants.tests[0].streams[-1].lines[0]
    assert judged.track(LATER).evidence[0] * 2 > line
    assert judged.last.verdict is Verdict.PASS


def test_a_new_epoch_starts_promotion_again_and_keeps_the_evidence_against_the_canary():
    judged = proven()
    before = judged.track().evidence
    analysis = judged.after(epoch=2)
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert (judged.state.promotion.epoch, judged.state.promotion.upper, judged.state.promotion.proven) == (
        2,
        NO_UPPER,
        [],
    )
    assert judged.track().failed[0] == 0
    assert judged.track().evidence == [max(0, evidence) for evidence in before]


def test_outcomes_of_an_old_epoch_count_against_the_canary_and_never_for_promotion():
    judged = Judged()
    judged.after(epoch=2)
    analysis = judged.after(*rows_for(CRITICAL_EVENTS, 0, 5_000, epoch=1), epoch=2)
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert judged.state.promotion.canary == {}
    assert judged.after(row(300, 300, epoch=1), epoch=2).verdict is Verdict.FAIL


def test_without_a_concurrent_control_its_last_bound_is_frozen_and_used():
    judged = proven(control_failed=60)
    bound = judged.state.promotion.lower
    assert bound > 0
    judged.after(epoch=2, weight=NEARLY_ALL)
    assert (judged.state.promotion.frozen, judged.state.promotion.lower) == (True, bound)
    judged.after(*rows_for(CRITICAL_EVENTS, 900, 2_000, arm="control", epoch=2), epoch=2, weight=NEARLY_ALL)
    assert judged.state.promotion.lower == bound
    judged.after(epoch=3)
    assert (judged.state.promotion.frozen, judged.state.promotion.lower) == (False, 0)


def test_bounds_only_ever_tighten_within_an_epoch():
    judged = proven()
    upper = judged.state.promotion.upper
    judged.after(*rows_for(CRITICAL_EVENTS, 80, 1_000))
    assert judged.state.promotion.upper == upper


def test_by_event_the_pooled_rows_are_read_and_by_user_the_types_are_added_up():
    by_event = Judged(constants(960, UnitKind.EVENT))
    by_event.after(row(0, 5_000, POOLED))
    assert by_event.state.promotion.upper == 10_000
    by_user = Judged()
    by_user.after(*rows_for(CRITICAL_EVENTS, 0, 847))
    assert by_user.state.promotion.upper > 10_000
    by_user.after(*rows_for(CRITICAL_EVENTS, 0, 1))
    assert by_user.state.promotion.upper == 10_000


def test_a_weekends_few_users_extend_a_stage_instead_of_passing_it():
    judged = Judged(frozen(min_users=50))
    rows = rows_for(CRITICAL_EVENTS, 0, 5_000)
    few = judged.after(*rows, users=Users(canary=49, control=400))
    assert [(lack.name, lack.text) for lack in few.lacking] == [
        ("min_users", "49 of at least 50 users have seen the canary")
    ]
    assert judged.after(users=Users(canary=50, control=400)).verdict is Verdict.PASS


def test_users_counted_in_a_sample_stand_for_all():
    judged = Judged(frozen(min_users=100))
    assert judged.after(*rows_for(CRITICAL_EVENTS, 0, 5_000), users=Users(13, 120, level=3)).verdict is Verdict.PASS


def test_every_guard_that_may_act_must_be_proven():
    strict = Guard("strict", at_least_ppm=990_000, action=GuardAction.PAUSE)
    judged = Judged(frozen(Guard("delivery"), strict))
    analysis = judged.after(*rows_for(CRITICAL_EVENTS, 0, 500))
    assert [lack.name for lack in analysis.lacking] == ["low_sample", "not_compared"]
    assert "not yet proven above 99 %" in analysis.lacking[0].text
    alerting = Judged(frozen(Guard("delivery"), replace(strict, action=GuardAction.ALERT)))
    assert [lack.name for lack in alerting.after(*rows_for(CRITICAL_EVENTS, 0, 500)).lacking] == ["not_compared"]


def test_a_frozen_control_is_said_to_be_frozen():
    judged = proven(control_failed=60)
    analysis = judged.after(epoch=2, weight=NEARLY_ALL)
    assert "the control's frozen bound plus margin" in analysis.lacking[1].text
