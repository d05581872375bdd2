"""Every kind of silence and skew has a name and an action of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.judge.findings import Analysis, Effect, Rule, Verdict
from controller.domain.ledger import LedgerRow, Users
from controller.domain.metrics import REPORTING
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.tallies import UNIT
from tests.domain.builders import Judged, briefly, row, rows_for


def rules(analysis: Analysis) -> list[Rule]:
    return [finding.rule for finding in analysis.findings]


def reporting(silent: int, due: int) -> LedgerRow:
    return row(silent, due, REPORTING)


# --- canaries that do not speak ---


def test_units_that_were_due_and_do_not_speak_roll_back():
    judged = Judged()
    judged.after(reporting(0, 50), *rows_for(CRITICAL_EVENTS, 0, 50))
    analysis = judged.after(reporting(20, 20))
    assert rules(analysis) == [Rule.NOT_REPORTING]
    assert (analysis.effect, analysis.findings[0].failed, analysis.findings[0].total) == (
        Effect.ROLLBACK,
        20 * UNIT,
        20 * UNIT,
    )


def test_a_third_of_the_units_vanishing_is_found_within_a_minute_at_five_units_a_second():
    judged = Judged()
    for _ in range(60):
        judged.after(reporting(0, 50))
    slots = next(at for at in range(1, 30) if Rule.NOT_REPORTING in rules(judged.after(reporting(25, 50))))
    assert slots <= 6


def test_a_canary_that_speaks_is_never_said_to_be_silent():
    judged = Judged()
    assert not any(rules(judged.after(reporting(0, 50), *rows_for(CRITICAL_EVENTS, 0, 50))) for _ in range(300))


@briefly
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 100)), max_size=40))
def test_a_few_that_stay_silent_among_many_are_not_enough(batches: list[tuple[int, int]]):
    """At most one in ten is silent: below both alternatives, so evidence never grows."""
    judged = Judged()
    for silent, due in batches:
        analysis = judged.after(reporting(min(silent, due // 10), due))
        assert Rule.NOT_REPORTING not in rules(analysis)


def test_the_control_may_be_as_silent_as_it_likes():
    judged = Judged()
    for _ in range(50):
        assert Rule.NOT_REPORTING not in rules(judged.after(row(50, 50, REPORTING, arm="control")))


def test_attempts_and_no_outcome_of_any_for_five_minutes_are_blind():
    judged = Judged()
    judged.after(*rows_for(CRITICAL_EVENTS, 0, 5), closed_ms=10_000)
    judged.after(reporting(0, 1), closed_ms=20_000)
    assert Rule.BLIND not in rules(judged.after(reporting(0, 1), closed_ms=319_999))
    analysis = judged.after(closed_ms=320_000)
    assert (rules(analysis), analysis.effect) == ([Rule.BLIND], Effect.ROLLBACK)


def test_one_outcome_ends_the_blindness():
    judged = Judged()
    judged.after(reporting(0, 1), closed_ms=20_000)
    judged.after(row(0, 1), closed_ms=300_000)
    assert Rule.BLIND not in rules(judged.after(reporting(0, 1), closed_ms=330_000))


# --- no traffic ---


def test_without_any_traffic_nothing_moves_and_nothing_is_promoted():
    judged = Judged()
    judged.after(*rows_for(CRITICAL_EVENTS, 0, 5_000), closed_ms=10_000)
    before = judged.track().evidence[:]
    analysis = judged.after(closed_ms=70_000)
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert [(lack.name, lack.text) for lack in analysis.lacking] == [
        ("no_traffic", "no canary outcomes since 00:00:10 UTC")
    ]
    assert judged.track().evidence == [max(0, evidence) for evidence in before]


def test_a_canary_without_traffic_beside_a_busy_control_holds_and_is_remarked_upon():
    """At a tenth of the users, 180 control units call for 20 of the canary."""
    judged = Judged()
    judged.after(row(0, 5), closed_ms=10_000)
    for seconds in range(20, 70, 10):
        assert rules(judged.after(row(0, 40, arm="control"), closed_ms=1_000 * seconds)) == []
    analysis = judged.after(row(0, 40, arm="control"), closed_ms=80_000)
    assert (rules(analysis), analysis.effect) == ([Rule.NO_CANARY_TRAFFIC], Effect.HOLD)
    assert rules(judged.after(row(0, 1), closed_ms=90_000)) == []


def test_a_canary_without_traffic_beside_a_quiet_control_is_just_a_quiet_night():
    judged = Judged()
    judged.after(row(0, 5), closed_ms=10_000)
    for minutes in range(1, 60):
        assert rules(judged.after(row(0, 2, arm="control"), closed_ms=60_000 * minutes)) == []


# --- users that do not fit the share ---


@pytest.mark.parametrize(
    ("canary", "control", "found"),
    [(100, 900, False), (120, 880, False), (200, 800, True), (50, 950, True), (3, 2, False), (20, 20, True)],
)
def test_users_that_do_not_fit_the_share_hold_promotion_and_never_roll_back(canary: int, control: int, found: bool):
    analysis = Judged().after(*rows_for(CRITICAL_EVENTS, 0, 5_000), users=Users(canary, control))
    assert rules(analysis) == [Rule.SAMPLE_RATIO] * found
    assert analysis.verdict is (Verdict.INCONCLUSIVE if found else Verdict.PASS)
    if found:
        assert analysis.effect is Effect.HOLD
        assert "sample_ratio" in [lack.name for lack in analysis.lacking]


@pytest.mark.parametrize("weight", [0, 9_501, 10_000])
def test_at_no_share_and_at_nearly_all_the_ratio_is_not_looked_at(weight: int):
    assert Rule.SAMPLE_RATIO not in rules(Judged().after(users=Users(500, 500), weight=weight))


def test_the_share_that_counts_is_the_present_one():
    judged = Judged()
    assert Rule.SAMPLE_RATIO in rules(judged.after(users=Users(500, 500), weight=1_000))
    assert Rule.SAMPLE_RATIO not in rules(judged.after(users=Users(500, 500), weight=5_000))
