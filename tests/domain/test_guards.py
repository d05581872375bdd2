"""Guards that cannot be judged are refused, with the field and the reason."""

from typing import Any

import pytest

from controller.domain.errors import Invalid
from controller.domain.guards import Guard, floor_range
from controller.domain.metrics import Metric
from controller.domain.outcomes import CRITICAL_EVENTS
from tests.domain.builders import plan

MARGIN = {"at_least_ppm": None, "margin_ppm": 10_000}
WITHIN = {"metric": Metric.WITHIN, "deadline_ms": 100}
RUNS = {"metric": Metric.COMPLETENESS, "deadline_ms": 300_000}


@pytest.mark.parametrize(
    ("guards", "field", "words"),
    [
        ([], "guards", "give 1 to 10"),
        ([{}] * 11, "guards", "give 1 to 10"),
        ([{}, {}], "guards[1].name", "two guards are called 'g'"),
        ([{"metric": Metric.ABANDONED}], "guards[0].metric", "watched in every rollout"),
        ([{"at_least_ppm": 1_000_000}], "guards[0].at_least", "100% cannot be judged"),
        ([{"at_least_ppm": 999_001}], "guards[0].at_least", "cannot be judged"),
        ([{"at_least_ppm": 499_999}], "guards[0].at_least", "below 50% hardly any would"),
        ([{"at_least_ppm": 0}], "guards[0].at_least", "cannot be judged"),
        ([{"at_least_ppm": None}], "guards[0].at_least", "give at_least, such as 95%"),
        ([{"floor_ppm": 950_000}], "guards[0].floor", "95.5% to 99%"),
        ([{"floor_ppm": 940_000}], "guards[0].floor", "above the threshold"),
        ([{"floor_ppm": 990_001}], "guards[0].floor", "write auto or"),
        ([{"at_least_ppm": 990_000, "floor_ppm": 970_000}], "guards[0].floor", "99.1% to 99.8%"),
        ([{"deadline_ms": 100}], "guards[0].deadline", "delivery_success has no deadline"),
        ([{**WITHIN, "deadline_ms": 0}], "guards[0].deadline", "needs a deadline of 1 ms"),
        ([{**WITHIN, "deadline_ms": 3_600_001}], "guards[0].deadline", "such as 100ms"),
        ([{**RUNS, "deadline_ms": 999}], "guards[0].deadline", "such as 5m"),
        ([{"opens": "a"}], "guards[0].opens", "only run_completeness"),
        ([{**RUNS, "opens": "unheard_of"}], "guards[0].opens", "is none of the events"),
        ([{**RUNS, "closes": "agent_started"}], "guards[0].closes", "opens with one event and closes with another"),
        ([MARGIN], "guards", "must prove something"),
        ([{}, {**MARGIN, "name": "m", "at_least_ppm": 950_000}], "guards[1].at_least", "not both"),
        ([{}, {**MARGIN, "name": "m", "floor_ppm": 960_000}], "guards[1].floor", "has no floor"),
        ([{}, {**MARGIN, "name": "m", "margin_ppm": 999}], "guards[1].margin_to_control", "0.1% to 50%"),
        ([{}, {**MARGIN, "name": "m", "margin_ppm": 500_001}], "guards[1].margin_to_control", "0.1% to 50%"),
    ],
)
def test_what_cannot_be_judged_is_refused(guards: list[dict[str, Any]], field: str, words: str):
    made = tuple(Guard(**{"name": "g", **fields}) for fields in guards)
    with pytest.raises(Invalid) as refused:
        plan(guards=made)
    assert refused.value.field == field
    assert words in refused.value.detail


def test_no_event_types_are_refused_before_any_guard_is_looked_at():
    with pytest.raises(Invalid, match="without any nothing can be judged") as refused:
        plan(events=(), guards=(Guard("r", **RUNS),))
    assert refused.value.field == "events"


@pytest.mark.parametrize(
    "fields",
    [
        {"at_least_ppm": 500_000},
        {"at_least_ppm": 999_000},
        {"floor_ppm": 955_000},
        {"floor_ppm": 990_000},
        {"metric": Metric.WITHIN, "deadline_ms": 1},
        {"metric": Metric.COMPLETENESS, "deadline_ms": 86_400_000},
    ],
)
def test_the_limits_themselves_are_allowed(fields: dict[str, Any]):
    assert plan(guards=(Guard("g", **fields),))


def test_a_floor_lies_between_nine_tenths_and_a_fifth_of_what_may_fail():
    assert floor_range(950_000) == (955_000, 990_000)
    assert floor_range(990_000) == (991_000, 998_000)


def test_runs_open_with_the_first_event_and_close_with_the_last_unless_told_otherwise():
    family = Guard("r", **RUNS).family(CRITICAL_EVENTS)
    assert (family.opens, family.closes) == ("agent_started", "agent_completed")
    family = Guard("r", **RUNS, opens="tool_executing", closes="tool_completed").family(CRITICAL_EVENTS)
    assert (family.opens, family.closes) == ("tool_executing", "tool_completed")
