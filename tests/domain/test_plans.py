"""Plans: what does not fit together is refused with its field."""

from typing import Any

import pytest

from controller.domain.errors import Invalid
from controller.domain.guards import Guard
from controller.domain.metrics import Metric, UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.plans import DEFAULT_LEASE_MS, Approval, Mode, Plan, Stage
from tests.domain.builders import MINUTE, plan

WHOLE_STAGE = Stage(10_000, MINUTE)
DAY = 86_400_000


def test_a_plan_of_stages_alone_has_the_rule_the_unit_and_the_events_of_a_chat_product():
    made = Plan((WHOLE_STAGE,))
    assert [(guard.at_least_ppm, guard.floor_ppm) for guard in made.guards] == [(950_000, None)]
    assert (made.unit, made.events) == (UnitKind.USER_10M, CRITICAL_EVENTS)
    assert (made.lease_ms, made.promotion_margin_ppm) == (DEFAULT_LEASE_MS, 10_000)
    assert (made.mode, made.alpha_ppm, made.min_samples, made.holdback) == (Mode.ENFORCE, 10_000, 0, 0)


@pytest.mark.parametrize(
    ("stages", "field"),
    [
        ((), "stages"),
        (tuple(Stage(weight, MINUTE) for weight in range(1, 52)), "stages"),
        ((Stage(0, MINUTE), WHOLE_STAGE), "stages[0].share"),
        ((Stage(-1, MINUTE), WHOLE_STAGE), "stages[0].share"),
        ((Stage(500, MINUTE), Stage(500, MINUTE), WHOLE_STAGE), "stages[1].share"),
        ((Stage(500, MINUTE), Stage(100, MINUTE), WHOLE_STAGE), "stages[1].share"),
        ((Stage(500, MINUTE), Stage(5_000, MINUTE)), "stages[1].share"),
        ((Stage(10_001, MINUTE),), "stages[0].share"),
        ((Stage(500, 0), WHOLE_STAGE), "stages[0].bake"),
        ((Stage(500, MINUTE), Stage(10_000, 30 * DAY + 1)), "stages[1].bake"),
        ((Stage(500, MINUTE, Approval()), WHOLE_STAGE), "stages[0].approval"),
        ((Stage(500, MINUTE), Stage(10_000, MINUTE, Approval(59_999))), "stages[1].approval.within"),
    ],
)
def test_stages_that_do_not_fit_name_the_stage_and_its_field(stages: tuple[Stage, ...], field: str):
    with pytest.raises(Invalid) as refused:
        Plan(stages)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"events": ()}, "events"),
        ({"events": tuple(f"e{n}" for n in range(101))}, "events"),
        ({"events": ("a", "")}, "events[1]"),
        ({"events": ("a", "x" * 101)}, "events[1]"),
        ({"events": ("a", "b", "a")}, "events[2]"),
        ({"events": ("later",)}, "events[0]"),
        ({"events": ("pooled",)}, "events[0]"),
        ({"lease_ms": 29_999}, "lease"),
        ({"lease_ms": 3_600_001}, "lease"),
        ({"events": ("reporting",)}, "events[0]"),
        ({"events": ("abandoned",)}, "events[0]"),
        ({"promotion_margin_ppm": 999}, "promotion_margin"),
        ({"promotion_margin_ppm": 50_001}, "promotion_margin"),
        ({"alpha_ppm": 0}, "alpha"),
        ({"alpha_ppm": 50_001}, "alpha"),
        ({"min_users": -1}, "min_users"),
        ({"min_samples": 19}, "min_samples"),
        ({"min_samples": 1_000_001}, "min_samples"),
        ({"patience_ms": 59_999}, "patience"),
        ({"holdback": -1}, "holdback"),
        ({"holdback": 5_001}, "holdback"),
        ({"measure_ms": 7 * DAY + 1}, "measure"),
        ({"cool_down_ms": 7 * DAY + 1}, "cool_down"),
    ],
)
def test_whatever_else_does_not_fit_names_its_field(fields: dict[str, Any], field: str):
    with pytest.raises(Invalid) as refused:
        plan(**fields)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "fields",
    [
        {"lease_ms": 30_000},
        {"lease_ms": 3_600_000},
        {"promotion_margin_ppm": 1_000},
        {"promotion_margin_ppm": 50_000},
        {"events": tuple(f"e{n}" for n in range(100))},
        {"events": ("anything at all", "chunk")},
        {"alpha_ppm": 100},
        {"min_samples": 20},
        {"holdback": 5_000},
        {"cool_down_ms": 0},
    ],
)
def test_the_limits_themselves_are_allowed(fields: dict[str, Any]):
    assert plan(**fields)


def test_a_stage_reads_as_people_say_it():
    assert str(Stage(1_250, 15 * MINUTE)) == "12.5% for 15m"
    assert str(Stage(1_250, 15 * MINUTE, Approval())) == "12.5% for 15m, approval required"


def test_a_holdback_leaves_the_control_its_share_in_every_stage():
    held = plan(5_000, 9_800, 10_000, holdback=500)
    assert [held.weight_of(stage) for stage in range(3)] == [5_000, 9_500, 9_500]


def test_clients_count_each_metric_once_delivery_first_and_what_is_always_watched_last():
    guards = (
        Guard("speed", Metric.WITHIN, deadline_ms=100),
        Guard("delivery"),
        Guard("no-worse", at_least_ppm=None, margin_ppm=10_000),
        Guard("runs", Metric.COMPLETENESS, deadline_ms=300_000),
    )
    assert [(family.metric.value, family.prefix) for family in plan(guards=guards).families] == [
        ("delivery_success", ""),
        ("delivered_within", "within_100ms/"),
        ("run_completeness", "completed_5m/"),
        ("abandoned", ""),
        ("interrupted", ""),
    ]


def test_an_event_that_is_called_like_another_metrics_stream_is_refused():
    with pytest.raises(Invalid, match="called like the stream") as refused:
        plan(guards=(Guard("d"), Guard("s", Metric.WITHIN, deadline_ms=100)), events=("a", "within_100ms/a"))
    assert refused.value.field == "events"
