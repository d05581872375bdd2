"""The forecast of a plan: what people are told before they start it."""

import pytest

from controller.domain.errors import Invalid
from controller.domain.guards import Guard
from controller.domain.metrics import UnitKind
from controller.domain.plans import Plan, Stage
from controller.usecases.what_if.forecast import check_traffic, forecast, quantile, work
from controller.usecases.what_if.simulation import LEVELS, Effort, Traffic
from controller.wire.api.what_if import ForecastView

EFFORT = Effort(repetitions=4, days=1)


def a_plan(*weights: int, **fields: object) -> Plan:
    return Plan(stages=tuple(Stage(weight, 600_000) for weight in weights), **fields)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def busy() -> ForecastView:
    """A plan with enough traffic for all of its stages."""
    return forecast("r", a_plan(1_000, 10_000), Traffic(30_000, 25, 0.995), EFFORT)


@pytest.fixture(scope="module")
def starved() -> ForecastView:
    """A plan whose first stage sees next to nobody."""
    return forecast("r", a_plan(10, 10_000, patience_ms=7_200_000), Traffic(300, 25, 0.995), EFFORT)


def test_every_stage_is_forecast_at_every_level(busy: ForecastView) -> None:
    told = [(one.share_percent, one.success_percent) for one in busy.detections]
    assert told == [(share, 100 * level) for share in (10.0, 100.0) for level in LEVELS]
    assert [one.share_percent for one in busy.stages] == [10.0, 100.0]


def test_a_healthy_plan_has_no_warnings_and_no_false_rollbacks(busy: ForecastView) -> None:
    assert (busy.warnings, busy.false_rollbacks, busy.false_days) == ([], 0, 1)
    assert all(one.judgeable and one.passed == 4 for one in busy.stages)


def test_it_says_what_the_figures_rest_on(busy: ForecastView) -> None:
    assert (busy.alpha_percent, busy.control_success_percent) == (1.0, 99.5)
    assert f"{busy.floor_percent:g}" in busy.meaning


def test_a_stage_that_cannot_be_judged_is_named_with_a_way_out(starved: ForecastView) -> None:
    words = next(one for one in starved.warnings if "cannot be judged" in one)
    assert words.startswith("the stage with 0.1 % cannot be judged at this traffic")
    assert "give it a larger share" in words
    assert not starved.stages[0].judgeable


def test_a_total_failure_that_would_stay_hidden_is_warned_about(starved: ForecastView) -> None:
    assert any(one.startswith("at 0.1 % even a total failure") for one in starved.warnings)


def test_a_control_below_the_floor_is_warned_about() -> None:
    view = forecast(
        "r", a_plan(10_000, guards=(Guard("delivery", floor_ppm=960_000),)), Traffic(3_000, 25, 0.94), Effort(5, 1)
    )
    assert any(one.startswith("the control itself (94 %) is below the floor (96 %)") for one in view.warnings)


def test_the_work_is_told_beforehand() -> None:
    heard: list[int] = []
    plan = a_plan(5_000, 10_000)
    effort = Effort(2, 1, 1, heard.append)
    forecast("r", plan, Traffic(3_000, 25, 0.995), effort)
    assert len(heard) == work(plan, effort)


@pytest.mark.parametrize(
    ("traffic", "field"),
    [
        (Traffic(0, 25, 0.995), "events_per_minute"),
        (Traffic(float("nan"), 25, 0.995), "events_per_minute"),
        (Traffic(1e12, 25, 0.995), "events_per_minute"),
        (Traffic(300, 4, 0.995), "events_per_unit"),
        (Traffic(300, float("inf"), 0.995), "events_per_unit"),
        (Traffic(300, 25, 0.2), "control_success"),
        (Traffic(300, 25, 1.01), "control_success"),
    ],
)
def test_traffic_that_makes_no_sense_is_refused_by_its_name(traffic: Traffic, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_traffic(a_plan(10_000), traffic)
    assert caught.value.field == field


def test_by_event_a_unit_is_one_event() -> None:
    check_traffic(a_plan(10_000, unit=UnitKind.EVENT), Traffic(300, 1, 1))


@pytest.mark.parametrize(
    ("values", "share", "of", "expected"),
    [((), 0.5, 5, None), ((1.0, 2.0, 3.0), 0.5, 3, 2.0), ((1.0,), 0.5, 4, None), ((1.0, 2.0), 1.0, 2, 2.0)],
)
def test_a_quantile_is_of_all_repetitions_not_only_of_those_that_ended(
    values: tuple[float, ...], share: float, of: int, expected: float | None
) -> None:
    assert quantile(values, share, of) == expected
