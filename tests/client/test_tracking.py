"""`client.track`: events of users become outcomes under the assignment that the user has."""

from __future__ import annotations

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.track import TrackingEventDetails

from controller.domain.conditions import Comparison, Operator
from controller.domain.evaluation import evaluate
from controller.domain.targeting import Rule, Targeting
from tests.client.fake_controller import flag, rollout, snapshot

SPLIT = flag(live=rollout(5_000, events=("paid",)))
OTHER = flag("other", live=rollout(10_000, key="second", events=("paid", "seen")))


@pytest.fixture
def tracking(controller, provider_of, reporter_of):
    def connect(*flags):
        controller.publish(snapshot(1, *flags))
        provider = provider_of(reporter=reporter_of())
        api.set_provider_and_wait(provider)
        return api.get_client(), provider

    return connect


def outcomes(controller, provider):
    provider.reporter.flush()
    return sorted((row.flag, row.variant, row.event_type, row.outcome, row.latency_ms) for row in controller.outcomes())


def test_an_event_reaches_every_rollout_that_judges_it(controller, tracking):
    client, provider = tracking(SPLIT, OTHER, flag("calm"))
    variant = evaluate(SPLIT, "anna").variant
    client.track("paid", EvaluationContext("anna"), TrackingEventDetails(attributes={"latency_ms": 12.5}))
    assert outcomes(controller, provider) == [
        ("emitter", variant, "paid", "delivered", 12),
        ("other", "unified", "paid", "delivered", 12),
    ]
    arm = "canary" if variant == "unified" else "control"
    assert controller.evidence() == {
        ("ramp", 3, arm, "paid"): (0, 1000),
        ("second", 3, "canary", "paid"): (0, 1000),
    }


@pytest.mark.parametrize("said", ["failed", "abandoned", "interrupted", "delivered"])
def test_the_outcome_can_be_said(controller, tracking, said):
    client, provider = tracking(OTHER)
    client.track("seen", EvaluationContext("anna"), TrackingEventDetails(attributes={"outcome": said}))
    assert [row[3] for row in outcomes(controller, provider)] == [said]


def test_one_flag_can_be_named_also_without_a_rollout(controller, tracking):
    client, provider = tracking(SPLIT, OTHER, flag("calm"))
    client.track("paid", EvaluationContext("anna"), TrackingEventDetails(attributes={"flag": "calm"}))
    assert outcomes(controller, provider) == [("calm", "legacy", "paid", "delivered", 0)]
    assert controller.evidence() == {}


def test_whom_a_rule_has_placed_is_counted_and_is_no_evidence(controller, tracking):
    german = Comparison("country", Operator.EQUALS, ("DE",))
    ruled = flag(live=rollout(0, events=("paid",)), targeting=Targeting(rules=(Rule("unified", german),)))
    client, provider = tracking(ruled)
    client.track("paid", EvaluationContext("anna", {"country": "DE"}))
    assert outcomes(controller, provider) == [("emitter", "unified", "paid", "delivered", 0)]
    assert controller.evidence() == {}


def test_while_the_lease_has_lapsed_the_control_is_charged_and_it_is_no_evidence(controller, tracking, clock):
    client, provider = tracking(OTHER)
    controller.deny = 500
    controller.drop_streams()
    clock.now += 121
    client.track("seen", EvaluationContext("anna"))
    controller.deny = 0
    assert outcomes(controller, provider) == [("other", "legacy", "seen", "delivered", 0)]
    assert controller.evidence() == {}


@pytest.mark.parametrize(
    ("event", "context", "attributes"),
    [
        ("unknown", EvaluationContext("anna"), {}),
        ("", EvaluationContext("anna"), {}),
        (None, EvaluationContext("anna"), {}),
        (7, EvaluationContext("anna"), {}),
        ("paid", EvaluationContext("anna"), {"outcome": "lost"}),
        ("paid", EvaluationContext("anna"), {"outcome": ["failed"]}),
        ("paid", EvaluationContext("anna"), {"flag": "absent"}),
        ("paid", EvaluationContext("anna"), {"flag": ["emitter"]}),
    ],
)
def test_what_cannot_be_placed_is_counted_and_reported_nowhere(controller, tracking, event, context, attributes):
    client, provider = tracking(SPLIT)
    client.track(event, context, TrackingEventDetails(attributes=attributes))
    assert provider.client._tracker.unplaced == 1
    assert outcomes(controller, provider) == []


@pytest.mark.parametrize("key", [None, "", "\ud800", "x" * 10_000, "\x00"])
@pytest.mark.parametrize("latency", [None, "soon", float("nan"), float("inf"), -5, True, 10**30])
def test_nothing_that_an_application_passes_breaks_a_call(controller, tracking, key, latency):
    client, provider = tracking(OTHER)
    client.track(
        "seen", EvaluationContext(key, {"a": object()}), TrackingEventDetails(attributes={"latency_ms": latency})
    )
    assert len(outcomes(controller, provider)) == 1


def test_without_a_reporter_or_a_snapshot_nothing_happens(controller, provider_of):
    controller.publish(snapshot(1, SPLIT))
    provider = provider_of()
    provider.track("paid", EvaluationContext("anna"))
    api.set_provider_and_wait(provider)
    api.get_client().track("paid", EvaluationContext("anna"))
    assert controller.outcomes() == []
