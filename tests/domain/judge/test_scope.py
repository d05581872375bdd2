"""Whose failure it is: the canary's, one instance's alone, or the control's as well."""

from typing import Any

import pytest

from controller.domain.judge.findings import Analysis, Effect, Rule, Verdict
from controller.domain.judge.scope import SHARED_MS
from controller.domain.ledger import Apart
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.tallies import UNIT, Tally
from tests.domain.builders import STARTED, Judged, row, rows_for


def alone(judged: Judged, failed: int, own: int, total: int, instance: str = "a-1", **apart: Any) -> Analysis:
    """A slot in which one instance fails so many of its own units, of so many in all."""
    found = {STARTED: Apart(instance, failed * UNIT, own * UNIT, **apart)}
    return judged.after(row(failed, total), apart=found)


def test_failures_that_all_come_from_one_instance_while_others_deliver_pause_and_name_it():
    analysis = alone(Judged(), 9, 9, 40)
    assert (analysis.verdict, analysis.effect) == (Verdict.FAIL, Effect.PAUSE)
    assert analysis.findings[0].instance == "a-1"


def test_an_instance_that_is_alone_rolls_back_like_any_canary():
    analysis = alone(Judged(), 9, 9, 9)
    assert (analysis.effect, analysis.findings[0].instance) == (Effect.ROLLBACK, "")


def test_where_the_others_had_too_little_to_do_it_rolls_back():
    """Four units elsewhere: had they been as bad, four would have failed; that is no sign of health."""
    assert alone(Judged(), 9, 9, 13).effect is Effect.ROLLBACK
    assert alone(Judged(), 9, 9, 14).effect is Effect.PAUSE


def test_a_failure_anywhere_else_makes_it_a_roll_back():
    judged = Judged()
    assert alone(judged, 9, 9, 40).effect is Effect.PAUSE
    assert alone(judged, 9, 9, 40, others_failed=True).effect is Effect.ROLLBACK
    assert alone(judged, 9, 9, 40).effect is Effect.ROLLBACK


def test_another_instance_that_fails_later_makes_it_a_roll_back():
    judged = Judged()
    assert alone(judged, 9, 9, 40).effect is Effect.PAUSE
    assert alone(judged, 9, 9, 40, instance="b-2").effect is Effect.ROLLBACK


def test_the_suspicion_is_dropped_when_the_stream_is_healthy_again():
    judged = Judged()
    alone(judged, 2, 2, 400, others_failed=True)
    assert judged.state.suspects[STARTED].mixed
    for _ in range(3):
        judged.after(row(0, 4_000))
    assert judged.state.suspects == {}
    assert alone(judged, 30, 30, 100).effect is Effect.PAUSE


# --- the control as well ---


def outage(judged: Judged, canary: int = 8, control: int = 72, *, at: int) -> Analysis:
    """A slot at so many seconds in which so many of ten canary and of ninety control units of one type fail."""
    rows = (row(canary, 10), row(control, 90, arm="control"))
    return judged.after(*rows, closed_ms=1_000 * at)


def test_what_the_control_shares_is_held_for_five_minutes_and_then_rolls_back():
    judged = Judged()
    first = outage(judged, at=10)
    assert (first.verdict, first.effect) == (Verdict.INCONCLUSIVE, Effect.HOLD)
    assert first.findings[0].shared
    for at in range(20, 310, 10):
        assert outage(judged, at=at).effect is Effect.HOLD
    last = outage(judged, at=10 + SHARED_MS // 1_000)
    assert (last.effect, last.findings[0].shared) == (Effect.ROLLBACK, True)


def test_once_the_control_recovers_the_canary_stands_alone():
    judged = Judged()
    assert outage(judged, at=10).effect is Effect.HOLD
    for at in range(20, 100, 10):
        analysis = outage(judged, control=0, at=at)
    assert (analysis.effect, analysis.findings[0].shared) == (Effect.ROLLBACK, False)


def test_once_both_recover_nothing_is_left_of_it():
    judged = Judged()
    outage(judged, at=10)
    for at in range(20, 200, 10):
        analysis = outage(judged, canary=0, control=0, at=at)
    assert analysis.findings == ()
    assert judged.state.shared_since_ms is None


def test_a_canary_much_worse_than_a_bad_control_is_not_excused():
    """A fifth of the control fails: bad, and no reason to keep a canary that fails entirely."""
    assert outage(Judged(), canary=10, control=18, at=10).effect is Effect.ROLLBACK


@pytest.mark.parametrize("control", [0, 3])
def test_a_healthy_control_shares_nothing(control: int):
    analysis = outage(Judged(), control=control, at=10)
    assert (analysis.effect, analysis.findings[0].shared) == (Effect.ROLLBACK, False)


def test_a_finding_that_is_not_shared_speaks_before_one_that_is():
    judged = Judged()
    rows = (row(8, 10), row(72, 90, arm="control"), *rows_for(CRITICAL_EVENTS[1:2], 9, 9))
    analysis = judged.after(*rows)
    assert (analysis.effect, analysis.findings[0].stream) == (Effect.ROLLBACK, CRITICAL_EVENTS[1])
    assert [finding.rule for finding in analysis.findings] == [Rule.SEQUENTIAL, Rule.SEQUENTIAL]


# --- versions ---


def test_versions_that_fail_are_counted_since_all_streams_were_healthy():
    judged = Judged()
    judged.after(*rows_for(CRITICAL_EVENTS, 0, 4_000), versions={"1.0": Tally(0, 4_000 * UNIT)})
    judged.after(*rows_for(CRITICAL_EVENTS, 0, 10), versions={"1.0": Tally(0, 10 * UNIT)})
    assert judged.state.versions == {"1.0": [0, 10 * UNIT]}
    judged.after(row(5, 10), versions={"1.0": Tally(0, 5 * UNIT), "1.1": Tally(5 * UNIT, 5 * UNIT)})
    judged.after(row(5, 10), versions={"1.1": Tally(5 * UNIT, 10 * UNIT)})
    assert judged.state.versions["1.1"] == [10 * UNIT, 15 * UNIT]
