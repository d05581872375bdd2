"""What Prometheus reads of the rollouts' state."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import delete

from controller.storage import alerts
from controller.storage.database import Database
from controller.storage.tables import instances
from controller.telemetry import MOST_FLAG_LABELS, MOST_OUTCOME_LABELS, Metrics
from controller.web.metrics import StateCollector
from tests.clocks import FakeClock
from tests.web.callers import EVENT, Caller, Door, counts, evidence, report

KEY = {"rollout": "unified-emitter"}


@pytest.fixture
def scraped(database: Database, clock: FakeClock) -> CollectorRegistry:
    """A registry that reads the state at each question."""
    registry = CollectorRegistry()
    registry.register(StateCollector(database, clock))
    return registry


def test_a_live_rollout_shows_its_share_its_phase_and_its_evidence_by_guard_and_stream(
    operator: Caller, sdk: Caller, door: Door, scraped: CollectorRegistry
) -> None:
    operator.started(guards=[{}, {"name": "strict", "at_least": "99%", "action": "alert"}])
    sdk.post("/sdk/v1/reports", report(revision=9, evidence=[evidence("canary", 2, 30)]))
    door.judge()
    assert scraped.get_sample_value("canary_rollout_share_ratio", KEY) == 0.1
    assert scraped.get_sample_value("canary_rollout_phase", {**KEY, "phase": "progressing"}) == 1
    assert scraped.get_sample_value("canary_rollout_phase", {**KEY, "phase": "paused"}) == 0
    delivery = scraped.get_sample_value("canary_evidence_ratio", {**KEY, "guard": "delivery", "stream": EVENT})
    strict = scraped.get_sample_value("canary_evidence_ratio", {**KEY, "guard": "strict", "stream": EVENT})
    assert delivery is not None
    assert strict is not None
    assert 0 < delivery < strict
    assert scraped.get_sample_value("canary_evidence_ratio", {**KEY, "guard": "abandoned", "stream": "canary"}) == 0
    assert scraped.get_sample_value("canary_instances", {"state": "live"}) == 1
    assert scraped.get_sample_value("canary_decisions_total", {**KEY, "action": "start"}) == 1


def test_a_rollback_counts_the_seconds_until_it_is_verified(
    operator: Caller, sdk: Caller, door: Door, scraped: CollectorRegistry
) -> None:
    operator.started()
    sdk.post("/sdk/v1/reports", report(revision=1, evidence=[evidence("canary", 30, 30)]))
    door.judge()
    door.clock.advance(7_000)
    assert scraped.get_sample_value("canary_rollback_unverified", KEY) == 1
    assert scraped.get_sample_value("canary_rollback_unverified_seconds", KEY) == 7
    assert scraped.get_sample_value("canary_rollout_share_ratio", KEY) == 0
    revision = operator.get("/api/v1/rollouts/unified-emitter").json["revision"]
    assert scraped.get_sample_value("canary_snapshot_revision") == revision
    sdk.post("/sdk/v1/reports", report("batch-0002", seq=2, revision=revision))
    door.verify()
    assert scraped.get_sample_value("canary_rollback_unverified", KEY) == 0
    assert scraped.get_sample_value("canary_rollout_phase", {**KEY, "phase": "rolled_back"}) == 1


def test_a_rollout_that_measures_has_no_evidence_to_show(operator: Caller, scraped: CollectorRegistry) -> None:
    operator.started(measure="1h")
    assert scraped.get_sample_value("canary_rollout_phase", {**KEY, "phase": "measuring"}) == 1
    assert [family.samples for family in scraped.collect() if family.name == "canary_evidence_ratio"] == [[]]


def test_a_database_that_is_away_leaves_the_state_out(opened: Callable[[str], Database], clock: FakeClock) -> None:
    away = opened("postgresql://nobody@127.0.0.1:1/nothing")
    (only,) = StateCollector(away, clock).collect()
    assert [(sample.name, sample.value) for sample in only.samples] == [("canary_database_up", 0)]


def test_a_count_that_rules_wait_for_is_there_before_it_happens(operator: Caller, scraped: CollectorRegistry) -> None:
    operator.started()
    assert scraped.get_sample_value("canary_decisions_total", {**KEY, "action": "rollback"}) == 0


def test_instances_that_have_not_confirmed_and_late_exposures_are_those_of_live_ones(
    operator: Caller, sdk: Caller, door: Door, scraped: CollectorRegistry
) -> None:
    operator.started()
    sdk.post("/sdk/v1/reports", report(revision=1))
    operator.post("/api/v1/rollouts/unified-emitter/rollback")
    assert scraped.get_sample_value("canary_rollback_unconfirmed_instances", KEY) == 1
    arm = {"flag": "emitter", "variant": "unified", "exposures": 9, "since_applied": 4}
    sdk.post("/sdk/v1/reports", report("batch-0002", seq=2, revision=99, arms=[arm]))
    assert scraped.get_sample_value("canary_rollback_late_exposures", KEY) == 4
    door.clock.advance(126_000)
    assert scraped.get_sample_value("canary_rollback_unconfirmed_instances", KEY) == 0
    assert scraped.get_sample_value("canary_rollback_late_exposures", KEY) == 0


def test_open_alerts_are_gauges_until_they_are_cleared(
    operator: Caller, database: Database, clock: FakeClock, scraped: CollectorRegistry
) -> None:
    operator.started()
    labels = {**KEY, "alert": "sample_ratio"}
    with database.write() as connection:
        alerts.move(connection, "unified-emitter", {"sample_ratio": "why"}, (), clock())
    assert scraped.get_sample_value("canary_alerts_open", labels) == 1
    with database.write() as connection:
        alerts.move(connection, "unified-emitter", {}, ["sample_ratio"], clock())
    assert scraped.get_sample_value("canary_alerts_open", labels) is None


def test_patience_is_used_up_by_waiting_and_not_by_pausing(
    operator: Caller, clock: FakeClock, scraped: CollectorRegistry
) -> None:
    operator.started(patience="1h")
    clock.advance(60_000 + 1_800_000)
    assert scraped.get_sample_value("canary_rollout_patience_ratio", KEY) == 0.5
    operator.post("/api/v1/rollouts/unified-emitter/pause")
    clock.advance(3_600_000)
    assert scraped.get_sample_value("canary_rollout_patience_ratio", KEY) == 0.5


def test_losses_only_grow_while_instances_come_and_go(
    operator: Caller, sdk: Caller, database: Database, scraped: CollectorRegistry
) -> None:
    operator.started()
    dropped = {"kind": "dropped"}
    sdk.post("/sdk/v1/reports", report(dropped=5))
    assert scraped.get_sample_value("canary_client_losses_total", dropped) == 0  # counting begins at the first look
    sdk.post("/sdk/v1/reports", report("batch-0002", seq=2, dropped=8))
    assert scraped.get_sample_value("canary_client_losses_total", dropped) == 3
    sdk.post("/sdk/v1/reports", report("batch-0003", seq=1, instance="chat-2", dropped=4))
    assert scraped.get_sample_value("canary_client_losses_total", dropped) == 7
    with database.write() as connection:
        connection.execute(delete(instances))
    assert scraped.get_sample_value("canary_client_losses_total", dropped) == 7
    sdk.post("/sdk/v1/reports", report("batch-0004", seq=1, dropped=1))
    assert scraped.get_sample_value("canary_client_losses_total", dropped) == 8


def test_lost_instances_and_their_attempts_are_counted_for_a_while(
    operator: Caller, sdk: Caller, clock: FakeClock, scraped: CollectorRegistry
) -> None:
    operator.started()
    sdk.post("/sdk/v1/reports", report(attempted=100, delivered=80))
    assert scraped.get_sample_value("canary_recent_instances_expired") == 0
    clock.advance(126_000)
    sdk.post("/sdk/v1/reports", report("batch-0002", instance="chat-2", attempted=50, delivered=50))
    assert scraped.get_sample_value("canary_recent_instances") == 2
    assert scraped.get_sample_value("canary_recent_instances_expired") == 1
    assert scraped.get_sample_value("canary_recent_attempts") == 150
    assert scraped.get_sample_value("canary_recent_attempts_unknown") == 20
    clock.advance(600_000)
    assert scraped.get_sample_value("canary_recent_instances_expired") == 1  # of the second one by now


def test_the_windows_are_summed_up_once_in_a_few_seconds(
    operator: Caller, sdk: Caller, clock: FakeClock, scraped: CollectorRegistry
) -> None:
    operator.started()
    sdk.post("/sdk/v1/reports", report(counts=[counts("legacy", 90, 10)]))
    assert scraped.get_sample_value("canary_control_success_ratio", KEY) == 0.9
    sdk.post("/sdk/v1/reports", report("batch-0002", seq=2, counts=[counts("legacy", 100)]))
    assert scraped.get_sample_value("canary_control_success_ratio", KEY) == 0.9
    clock.advance(15_000)
    assert scraped.get_sample_value("canary_control_success_ratio", KEY) == 0.95


def test_neither_instances_nor_their_names_make_series(
    operator: Caller, sdk: Caller, scraped: CollectorRegistry
) -> None:
    operator.started()
    hostile = ['a{b="c"}', "new\\line", "x" * 100, "${jndi:ldap://x}", "'; drop table instances", "\u202eevil"]
    sdk.post("/sdk/v1/reports", report())

    def shown() -> list[tuple[str, ...]]:
        found = [sample for family in scraped.collect() for sample in family.samples]
        return sorted((sample.name, *map(str, sorted(sample.labels.items()))) for sample in found)

    before = shown()
    taken = 0
    for number, name in enumerate([*hostile, *(f"app-{number}" for number in range(50))]):
        taken += sdk.post("/sdk/v1/reports", report(f"batch-1{number:03d}", instance=name)).status_code == 200
    assert shown() == before
    assert scraped.get_sample_value("canary_instances", {"state": "live"}) == taken + 1
    assert taken >= 50


def test_refused_reports_are_counted_by_their_reason(sdk: Caller, door: Door) -> None:
    sdk.post("/sdk/v1/reports", report(counts=[counts("legacy", 1)]))
    sdk.post("/sdk/v1/reports", b"{")
    assert door.refused == ["invalid", "malformed"]


def test_nobody_floods_a_scrape_with_event_types() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    flags = MOST_OUTCOME_LABELS // MOST_FLAG_LABELS + 5
    for flag in range(flags):
        for number in range(MOST_FLAG_LABELS):
            metrics.count_outcomes(f"flag-{flag}", "v", f"event-{number}", {"delivered": 1, "failed": 0})
    (family,) = (found for found in registry.collect() if found.name == "canary_outcomes")
    totals = [sample for sample in family.samples if sample.name.endswith("_total")]
    assert len(totals) == 2 * (MOST_OUTCOME_LABELS + 1)
    other = {"flag": "other", "variant": "other", "event_type": "other", "outcome": "delivered"}
    assert registry.get_sample_value("canary_outcomes_total", other) == 5 * MOST_FLAG_LABELS


def test_a_flag_that_is_flooded_leaves_the_others_their_figures() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for number in range(5_000):
        metrics.count_outcomes("flooded", "v", f"event-{number}", {"delivered": 1})
    metrics.count_outcomes("well", "v", "agent_started", {"delivered": 1})
    (family,) = (found for found in registry.collect() if found.name == "canary_outcomes")
    assert len([one for one in family.samples if one.name.endswith("_total")]) == MOST_FLAG_LABELS + 2
    found = {"variant": "other", "event_type": "other", "outcome": "delivered"}
    assert registry.get_sample_value("canary_outcomes_total", {"flag": "flooded", **found}) == 5_000 - MOST_FLAG_LABELS
    well = {"flag": "well", "variant": "v", "event_type": "agent_started", "outcome": "delivered"}
    assert registry.get_sample_value("canary_outcomes_total", well) == 1
