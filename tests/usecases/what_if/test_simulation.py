"""Simulated rollouts: the shipped judge over made-up traffic."""

import numpy as np
import pytest

from controller.domain.guards import Guard, GuardAction
from controller.domain.judge.judge import judge
from controller.domain.judge.state import fresh_state
from controller.domain.metrics import UnitKind
from controller.domain.plans import Plan, Stage
from controller.usecases.what_if import simulation
from controller.usecases.what_if.simulation import Detection, Effort, Traffic, detection, frozen_for, stage_forecast

WHOLE, HALF, TENTH = 10_000, 5_000, 1_000
MINUTE_MS = 60_000


def a_plan(*weights: int, bake_ms: int = 10 * MINUTE_MS, **fields: object) -> Plan:
    """A plan with the delivery guard alone."""
    return Plan(stages=tuple(Stage(weight, bake_ms) for weight in weights or (TENTH, WHOLE)), **fields)  # type: ignore[arg-type]


def traffic(events_per_minute: float = 3_000, events_per_unit: float = 25, control_success: float = 0.995) -> Traffic:
    return Traffic(events_per_minute, events_per_unit, control_success)


def found(success: float, weight: int = TENTH, repetitions: int = 10, **rates: float) -> Detection:
    return detection(a_plan(), traffic(**rates), success, weight, repetitions, Effort(repetitions, 1))


def middle(values: tuple[float, ...]) -> float:
    return values[len(values) // 2]


def test_a_total_failure_is_always_found_and_soon() -> None:
    dark = found(0.0)
    assert dark.found == dark.repetitions == 10
    assert max(dark.seconds) <= 60


def test_the_worse_a_canary_is_the_sooner_it_is_found() -> None:
    times = [middle(found(success).seconds) for success in (0.90, 0.80, 0.50, 0.0)]
    assert times == sorted(times, reverse=True)
    assert times[0] > times[-1]


def test_more_traffic_is_found_sooner_in_time_but_not_in_events() -> None:
    quiet, busy = found(0.80, events_per_minute=300), found(0.80, events_per_minute=30_000)
    assert middle(quiet.seconds) > middle(busy.seconds)
    assert middle(quiet.failed_events) < 10 * middle(busy.failed_events)


def test_a_canary_as_good_as_its_control_is_left_alone() -> None:
    assert found(0.995, repetitions=5).found == 0


def test_too_little_traffic_finds_nothing_within_a_day() -> None:
    assert found(0.90, weight=1, events_per_minute=5) == Detection(0.90, 10, 0, (), ())


def test_the_same_seed_gives_the_same_figures_and_another_seed_others() -> None:
    def of_seed(seed: int) -> Detection:
        return detection(a_plan(), traffic(), 0.90, TENTH, 8, Effort(8, 1, seed))

    assert of_seed(1) == of_seed(1)
    assert of_seed(1) != of_seed(2)


def test_each_repetition_is_told_of() -> None:
    heard: list[int] = []
    detection(a_plan(), traffic(), 0.0, TENTH, 6, Effort(6, 1, 1, heard.append))
    assert heard == list(range(6))


def test_a_stage_takes_its_bake_time_where_the_proof_comes_sooner() -> None:
    stage = stage_forecast(a_plan(), traffic(events_per_minute=60_000), 1, Effort(5, 1))
    assert (stage.passed, set(stage.seconds)) == (5, {600.0})


def test_a_stage_takes_until_its_proof_where_that_comes_later() -> None:
    stage = stage_forecast(a_plan(), traffic(events_per_minute=300), 0, Effort(2, 1))
    assert stage.passed > 0
    assert min(stage.seconds) > 600


def test_a_stage_without_enough_traffic_does_not_pass_within_its_patience() -> None:
    plan = a_plan(1, WHOLE, patience_ms=3_600_000)
    stage = stage_forecast(plan, traffic(events_per_minute=60), 0, Effort(5, 1))
    assert (stage.passed, stage.seconds) == (0, ())


@pytest.mark.parametrize("unit", list(UnitKind))
def test_every_unit_is_simulated(unit: UnitKind) -> None:
    one = detection(a_plan(unit=unit), traffic(), 0.0, TENTH, 4, Effort(4, 1))
    assert one.found == 4


def test_a_guard_that_only_pauses_counts_as_acted_against() -> None:
    plan = a_plan(guards=(Guard("delivery", action=GuardAction.PAUSE),))
    assert detection(plan, traffic(), 0.0, TENTH, 4, Effort(4, 1)).found == 4


def test_by_event_a_failure_costs_one_event() -> None:
    by_event = detection(a_plan(unit=UnitKind.EVENT), traffic(), 0.0, HALF, 4, Effort(4, 1))
    assert all(failed == int(failed) for failed in by_event.failed_events)


@pytest.mark.parametrize("unit", [UnitKind.USER_10M, UnitKind.EVENT])
@pytest.mark.parametrize("success", [0.985, 0.955])
def test_slots_merged_between_failures_leave_the_evidence_as_it_would_be(unit: UnitKind, success: float) -> None:
    made = a_plan(guards=(Guard("delivery", floor_ppm=960_000),), unit=unit)
    calls = traffic(events_per_minute=600, events_per_unit=5)
    scene = simulation._Scene(made, calls, frozen_for(made, calls), success, TENTH, 6 * 60 * MINUTE_MS)

    def evidence(merged: int) -> dict[int, list[list[int]]]:
        state = fresh_state(scene.frozen, 1)
        found: dict[int, list[list[int]]] = {}
        for closed_ms, rows in simulation._slots(scene, np.random.default_rng(3), merged=merged):
            state, _ = judge(scene.frozen, state, simulation._slot(state, closed_ms, scene.weight, rows))
            if any(row.arm == "canary" and row.failed for row in rows):
                found[closed_ms] = [track.evidence for tracks in state.canary for track in tracks.values()]
        return found

    one_by_one = evidence(1)
    assert len(one_by_one) > 50
    assert evidence(10**9) == one_by_one
