"""Plans: what does not fit together is refused with its field."""

from typing import Any

import pytest

from controller.domain.errors import Invalid
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.plans import DEFAULT_LEASE_MS, Guard, Plan, Stage
from controller.domain.units import UnitKind
from tests.domain.builders import MINUTE, plan

WHOLE_STAGE = Stage(10_000, MINUTE)
DAY = 86_400_000


def test_a_plan_of_stages_alone_has_the_rule_the_unit_and_the_events_of_a_chat_product():
    made = Plan((WHOLE_STAGE,))
    assert (made.guard.at_least_permille, made.guard.floor_permille) == (950, None)
    assert (made.unit, made.events) == (UnitKind.USER_10M, CRITICAL_EVENTS)
    assert (made.lease_ms, made.promotion_margin_permille) == (DEFAULT_LEASE_MS, 10)


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
    ],
)
def test_stages_that_do_not_fit_name_the_stage_and_its_field(stages: tuple[Stage, ...], field: str):
    with pytest.raises(Invalid) as refused:
        Plan(stages)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"guards": ()}, "guards"),
        ({"guards": (Guard("a"), Guard("b"))}, "guards"),
        ({"guards": (Guard("a", metric="latency"),)}, "guards[0].metric"),
        ({"guards": (Guard("a", at_least_permille=990),)}, "guards[0].at_least"),
        ({"guards": (Guard("a", floor_permille=954),)}, "guards[0].floor"),
        ({"guards": (Guard("a", floor_permille=991),)}, "guards[0].floor"),
        ({"events": ()}, "events"),
        ({"events": tuple(f"e{n}" for n in range(21))}, "events"),
        ({"events": ("a", "")}, "events[1]"),
        ({"events": ("a", "x" * 101)}, "events[1]"),
        ({"events": ("a", "b", "a")}, "events[2]"),
        ({"events": ("later",)}, "events[0]"),
        ({"events": ("pooled",)}, "events[0]"),
        ({"lease_ms": 29_999}, "lease"),
        ({"lease_ms": 3_600_001}, "lease"),
        ({"promotion_margin_permille": 0}, "promotion_margin"),
        ({"promotion_margin_permille": 51}, "promotion_margin"),
    ],
)
def test_whatever_else_does_not_fit_names_its_field(fields: dict[str, Any], field: str):
    with pytest.raises(Invalid) as refused:
        plan(**fields)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "fields",
    [
        {"guards": (Guard("a", floor_permille=955),)},
        {"guards": (Guard("a", floor_permille=990),)},
        {"lease_ms": 30_000},
        {"lease_ms": 3_600_000},
        {"promotion_margin_permille": 1},
        {"promotion_margin_permille": 50},
        {"events": tuple(f"e{n}" for n in range(20))},
    ],
)
def test_the_limits_themselves_are_allowed(fields: dict[str, Any]):
    assert plan(**fields)


def test_a_stage_reads_as_people_say_it():
    assert str(Stage(1_250, 15 * MINUTE)) == "12.5% for 15m"
