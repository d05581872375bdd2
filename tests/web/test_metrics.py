"""What Prometheus reads of the rollouts' state."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from controller.storage.database import Database
from controller.web.metrics import StateCollector
from tests.clocks import FakeClock
from tests.web.callers import EVENT, Caller, Door, evidence, report

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
