"""The guards of a manifest: what can be promised of a metric, and what cannot be judged."""

from typing import Any

import pytest

from controller.domain.errors import Invalid
from controller.domain.guards import Guard, GuardAction
from controller.domain.metrics import DELIVERY, WATCHED, Family, Metric
from controller.wire.manifests import manifest_from_plan
from tests.wire.documents import plan

EVENTS = ["started", "tool", "completed"]
SPEED = {"name": "speed", "metric": "delivered_within", "deadline": "100ms", "at_least": "99%"}
COMPLETE = {"name": "complete", "metric": "run_completeness", "deadline": "5m"}


def test_each_guard_of_the_manual_can_be_said():
    made = plan(
        events=EVENTS,
        guards=[
            {"name": "delivery", "metric": "delivery_success", "at_least": "95%", "floor": "auto"},
            {"name": "no-worse", "margin_to_control": "1%", "action": "pause"},
            {**SPEED, "action": "alert"},
            COMPLETE,
        ],
    )
    assert made.guards == (
        Guard("delivery", Metric.DELIVERY, 950_000),
        Guard("no-worse", Metric.DELIVERY, None, margin_ppm=10_000, action=GuardAction.PAUSE),
        Guard("speed", Metric.WITHIN, 990_000, deadline_ms=100, action=GuardAction.ALERT),
        Guard("complete", Metric.COMPLETENESS, 950_000, deadline_ms=300_000),
    )
    run = Family(Metric.COMPLETENESS, 300_000, "started", "completed")
    assert made.families == (DELIVERY, Family(Metric.WITHIN, 100), run, *WATCHED)


def test_rates_are_exact_to_a_part_of_a_million():
    made = plan(guards=[{"at_least": "99.875%", "floor": "99.9251%"}])
    assert (made.guards[0].at_least_ppm, made.guards[0].floor_ppm) == (998_750, 999_251)
    form = manifest_from_plan("r", "f", "legacy", "unified", made).guards[0]
    assert (form.at_least, form.floor) == ("99.875%", "99.9251%")


def test_a_run_opens_and_closes_with_the_events_it_is_told():
    made = plan(events=EVENTS, guards=[{}, {**COMPLETE, "opens": "tool", "closes": "started"}])
    assert made.families[1] == Family(Metric.COMPLETENESS, 300_000, "tool", "started")


def test_two_guards_may_ask_for_the_same_metric_and_clients_count_it_once():
    made = plan(guards=[{}, {"name": "strict", "at_least": "99%", "action": "alert"}, SPEED, {**SPEED, "name": "s2"}])
    assert made.families == (DELIVERY, Family(Metric.WITHIN, 100), *WATCHED)


@pytest.mark.parametrize(
    ("guards", "field"),
    [
        ([], "guards"),
        ([{"name": f"g{n}"} for n in range(11)], "guards"),
        ([{}, {}], "guards[1].name"),
        ([{"name": ""}], "guards[0].name"),
        ([{"threshold": "95%"}], "guards[0].threshold"),
        ([{"metric": "latency"}], "guards[0].metric"),
        ([{"metric": "abandoned"}], "guards[0].metric"),
        ([{"action": "ignore"}], "guards[0].action"),
        # thresholds and floors
        ([{"at_least": 95}], "guards[0].at_least"),
        ([{"at_least": "49.9%"}], "guards[0].at_least"),
        ([{"at_least": "99.91%"}], "guards[0].at_least"),
        ([{"at_least": "99.00001%"}], "guards[0].at_least"),
        ([{"floor": "95%"}], "guards[0].floor"),
        ([{"floor": "95.4%"}], "guards[0].floor"),
        ([{"floor": "99.5%"}], "guards[0].floor"),
        ([{"floor": "97.55555%"}], "guards[0].floor"),
        ([{"floor": "high"}], "guards[0].floor"),
        # comparisons with the control
        ([{}, {"name": "m", "margin_to_control": "1%", "at_least": "95%"}], "guards[1].at_least"),
        ([{}, {"name": "m", "margin_to_control": "1%", "floor": "97%"}], "guards[1].floor"),
        ([{}, {"name": "m", "margin_to_control": "0.05%"}], "guards[1].margin_to_control"),
        ([{}, {"name": "m", "margin_to_control": "51%"}], "guards[1].margin_to_control"),
        ([{"name": "m", "margin_to_control": "1%"}], "guards"),
        # deadlines
        ([{"deadline": "1s"}], "guards[0].deadline"),
        ([{**SPEED, "deadline": ""}], "guards[0].deadline"),
        ([{**SPEED, "deadline": "2h"}], "guards[0].deadline"),
        ([{**SPEED, "deadline": "fast"}], "guards[0].deadline"),
        ([{**COMPLETE, "deadline": "500ms"}], "guards[0].deadline"),
        ([{**COMPLETE, "deadline": "2d"}], "guards[0].deadline"),
        # runs
        ([{**COMPLETE, "opens": "ended"}], "guards[0].opens"),
        ([{**COMPLETE, "closes": "ended"}], "guards[0].closes"),
        ([{**COMPLETE, "opens": "completed"}], "guards[0].closes"),
        ([{"opens": "started"}], "guards[0].opens"),
        ([COMPLETE, {**COMPLETE, "name": "second", "deadline": "10m"}], "guards[1].deadline"),
        ([COMPLETE, {**COMPLETE, "name": "second", "opens": "tool"}], "guards[1].opens"),
    ],
)
def test_a_refusal_names_the_field(guards: list[dict[str, Any]], field: str):
    with pytest.raises(Invalid) as refused:
        plan(events=EVENTS, guards=guards)
    assert refused.value.field == field


def test_one_event_makes_no_run():
    with pytest.raises(Invalid, match="closes with another"):
        plan(events=["only"], guards=[{}, COMPLETE])


def test_an_event_that_is_called_like_a_metrics_stream_is_refused():
    with pytest.raises(Invalid, match="called like the stream 'within_100ms/a'"):
        plan(events=["a", "within_100ms/a"], guards=[{}, SPEED])
