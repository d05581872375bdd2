"""What is known of the control before a rollout begins."""

from collections.abc import Mapping

import pytest

from controller.domain.control import check_control, control_rates
from controller.domain.errors import ControlBelowFloor
from controller.domain.guards import Guard, GuardAction
from controller.domain.judge.freeze import freeze
from controller.domain.metrics import DELIVERY, Family, Metric
from controller.domain.tallies import Counts, Tally
from tests.domain.builders import plan


def counts(delivered: int, failed: int) -> Counts:
    return Counts(delivered + failed, delivered, failed)


def check(known: Counts, *guards: Guard, measured: Mapping[str, Tally] | None = None) -> None:
    """Check a control before a plan with these guards; floors are automatic unless a guard says otherwise."""
    made = plan(guards=guards, events=("a", "b"))
    check_control(made, control_rates(made, known, measured or {}), freeze(made, {}))


def test_delivery_is_known_from_outcomes_and_the_other_metrics_from_measured_units():
    guards = (Guard("d"), Guard("s", Metric.WITHIN, deadline_ms=100))
    made = plan(guards=guards, events=("a", "b"))
    measured = {
        "within_100ms/a": Tally(2_000, 50_000),
        "within_100ms/b": Tally(0, 30_000),
        "within_100ms/later": Tally(),
    }
    assert control_rates(made, counts(990, 10), measured) == {
        DELIVERY: Tally(10, 1_000),
        Family(Metric.WITHIN, 100): Tally(2, 80),
    }


def test_a_control_below_the_floor_is_refused_with_the_distance():
    with pytest.raises(
        ControlBelowFloor, match=r"95.00 % of 1,000 events over 24 h, 1.00 points below the floor of 96%"
    ):
        check(counts(950, 50), Guard("d", floor_ppm=960_000))


@pytest.mark.parametrize(("delivered", "failed"), [(960, 40), (50, 49), (0, 0)])
def test_a_control_on_its_floor_or_hardly_known_is_not(delivered: int, failed: int):
    check(counts(delivered, failed), Guard("d", floor_ppm=960_000))


def test_the_strictest_guard_that_may_act_decides_and_one_that_alerts_does_not():
    lenient, strict = Guard("d", floor_ppm=960_000), Guard("s", at_least_ppm=990_000, action=GuardAction.PAUSE)
    with pytest.raises(ControlBelowFloor) as refused:
        check(counts(980, 20), lenient, strict)
    assert refused.value.field == "guards[1].floor"
    check(counts(980, 20), lenient, Guard("s", at_least_ppm=990_000, action=GuardAction.ALERT))


@pytest.mark.parametrize(
    ("guard", "stream", "words"),
    [
        (Guard("s", Metric.WITHIN, deadline_ms=100), "within_100ms/a", "delivered within 100ms for 90.00 % of 1,000"),
        (
            Guard("s", Metric.COMPLETENESS, deadline_ms=300_000, opens="a", closes="b"),
            "completed_5m/run",
            "ended its runs within 5m for 90.00 % of 1,000",
        ),
    ],
)
def test_a_control_that_was_measured_below_another_floor_is_refused_too(guard: Guard, stream: str, words: str):
    measured = {stream: Tally(100_000, 1_000_000)}
    with pytest.raises(ControlBelowFloor, match=words) as refused:
        check(counts(1_000, 0), Guard("d"), guard, measured=measured)
    assert refused.value.field == "guards[1].floor"
    check(counts(1_000, 0), Guard("d"), guard)
