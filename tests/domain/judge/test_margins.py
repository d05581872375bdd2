"""Guards that compare the arms: a margin to the control, users who leave, processes that end."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.guards import Guard, GuardAction
from controller.domain.judge.findings import Analysis, Effect, Finding, Rule, Verdict
from controller.domain.metrics import UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS
from tests.domain.builders import NEARLY_ALL, Judged, briefly, frozen, row, rows_for

NO_WORSE = Guard("no-worse", at_least_ppm=None, margin_ppm=10_000, action=GuardAction.PAUSE)


def compared(kind: UnitKind = UnitKind.USER_10M, floor: int = 955_000) -> Judged:
    return Judged(frozen(Guard("delivery", floor_ppm=floor), NO_WORSE, unit=kind))


def both(canary: int, control: int, of: int = 200, epoch: int = 1) -> list:
    return [
        *rows_for(CRITICAL_EVENTS, canary, of, epoch=epoch),
        *rows_for(CRITICAL_EVENTS, control, 9 * of, arm="control", epoch=epoch),
    ]


def margin_in(analysis: Analysis, guard: str = "no-worse") -> Finding | None:
    return next((found for found in analysis.findings if (found.rule, found.guard) == (Rule.MARGIN, guard)), None)


def test_a_canary_clearly_worse_than_its_control_pauses_though_it_is_above_95_percent():
    """4 % of the canary's units fail and half a per cent of the control's: legal, and three and a half points worse."""
    judged = compared()
    for _ in range(20):
        analysis = judged.after(*both(8, 9))
        if margin_in(analysis):
            break
    found = margin_in(analysis)
    assert found is not None
    assert (found.effect, found.stream, analysis.verdict) == (Effect.PAUSE, "canary", Verdict.FAIL)
    assert found.failed * found.other_total > 3 * found.other_failed * found.total


def test_a_canary_as_good_as_its_control_is_left_alone_however_long_it_runs():
    judged = compared()
    assert not any(margin_in(judged.after(*both(2, 18))) for _ in range(200))


def test_within_the_margin_nothing_is_found():
    """Half a point worse, with a margin of one point."""
    judged = compared()
    assert not any(margin_in(judged.after(*both(3, 18))) for _ in range(200))


def test_trouble_that_both_arms_share_moves_neither_apart_from_the_other():
    judged = compared()
    for _ in range(50):
        judged.after(*both(1, 9))
    assert not any(margin_in(judged.after(*both(20, 180))) for _ in range(50))


def test_after_a_long_healthy_stretch_it_is_found_as_soon_as_it_begins():
    judged = compared()
    for _ in range(500):
        assert margin_in(judged.after(*both(1, 9))) is None
    slots = next(at for at in range(1, 30) if margin_in(judged.after(*both(12, 9))))
    assert slots <= 15


def test_above_95_percent_share_margins_are_inactive_and_say_so():
    judged = compared()
    for _ in range(30):
        analysis = judged.after(*both(8, 1), weight=NEARLY_ALL)
        assert margin_in(analysis) is None
    assert analysis.notes == ("no-worse: inactive above 95 % share, where there is no concurrent control",)
    assert judged.after(*both(8, 1)).notes == ()


def test_by_event_the_comparison_reads_the_pooled_stream():
    judged = compared(UnitKind.EVENT)
    rows = [row(40, 1_000, "pooled"), row(45, 9_000, "pooled", arm="control")]
    assert any(margin_in(judged.after(*rows)) for _ in range(20))


@pytest.mark.parametrize("stream", ["abandoned", "interrupted"])
def test_more_users_who_leave_the_canary_pause_it_without_any_guard(stream: str):
    judged = Judged()
    for _ in range(30):
        analysis = judged.after(
            *rows_for(CRITICAL_EVENTS, 0, 20), row(8, 20, stream), row(9, 180, stream, arm="control")
        )
        if margin_in(analysis, stream):
            break
    found = margin_in(analysis, stream)
    assert found is not None
    assert (found.effect, found.stream) == (Effect.PAUSE, "canary")


@pytest.mark.parametrize("stream", ["abandoned", "interrupted"])
def test_more_users_who_leave_the_control_only_alert(stream: str):
    judged = Judged()
    found = [
        margin_in(judged.after(row(0, 20, stream), row(80, 180, stream, arm="control")), stream) for _ in range(30)
    ]
    assert {each.effect for each in found if each} == {Effect.ALERT}
    assert {each.stream for each in found if each} == {"control"}


def test_a_deploy_that_interrupts_both_arms_alike_is_nobodys_fault():
    judged = Judged()
    for _ in range(50):
        analysis = judged.after(row(10, 20, "interrupted"), row(90, 180, "interrupted", arm="control"))
        assert margin_in(analysis, "interrupted") is None


@briefly
@given(canary=st.integers(0, 200), control=st.integers(0, 1_800), slots=st.integers(1, 6))
def test_the_margin_never_speaks_against_a_canary_that_fails_less_than_its_control(
    canary: int, control: int, slots: int
):
    judged = compared()
    for _ in range(slots):
        found = margin_in(judged.after(*both(canary, control)))
        if 9 * canary <= control:
            assert found is None


def test_at_exactly_the_margin_it_errs_no_more_often_than_its_share_of_alpha():
    """The canary fails one point more often, exactly what is allowed: 40 days of 860 slots at 100 units a slot.

    The guard has half of one per cent a day: P(more than 3 of 40) = 0.00005.
    """
    made = frozen(Guard("delivery", floor_ppm=955_000), NO_WORSE)
    erred = 0
    for seed in range(40):
        chance, judged = Random(seed), Judged(made)
        for _ in range(430):
            failed = sum(chance.random() < 0.015 for _ in range(100))
            other = round(chance.gauss(4.5, 2.1))
            rows = [row(failed, 100, "agent_started"), row(max(0, other), 900, "agent_started", arm="control")]
            if margin_in(judged.after(*rows)):
                erred += 1
                break
    assert erred <= 3
