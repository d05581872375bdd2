"""Another policy over the evidence of a rollout."""

import msgspec
import pytest

from controller.domain.errors import Conflict, Invalid
from controller.domain.guards import Guard
from controller.domain.metrics import Metric, UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.plans import Plan, Stage
from controller.usecases.what_if.backtest import backtest, check_policy
from controller.wire.api.judging import LedgerView
from controller.wire.api.what_if import BacktestView
from tests.usecases.true_ledgers import true_ledger

STAGES = tuple(Stage(weight, 600_000) for weight in (1_000, 5_000, 10_000))


def policy(*guards: Guard, **fields: object) -> Plan:
    """A policy; the delivery guard alone unless told otherwise."""
    return Plan(stages=STAGES, guards=guards or (Guard("delivery", floor_ppm=965_000),), **fields)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def failed() -> LedgerView:
    """A rollout that the judge took back."""
    ledger = true_ledger(failing_from=45)
    [begun] = ledger.rounds
    end = ledger.slots[-1].closed_ms
    begun.ended_ms, begun.decided_ms, begun.ended_as, begun.ended_by = end, end, "rolled_back", "judge"
    return ledger


@pytest.fixture(scope="module")
def healthy() -> LedgerView:
    """A rollout that nothing was wrong with."""
    return true_ledger(slots=60)


def tried(ledger: LedgerView, plan: Plan) -> BacktestView:
    return backtest("r", plan, ledger.rounds[0], ledger.slots)


def test_the_same_policy_acts_at_the_same_moment(failed: LedgerView) -> None:
    view = tried(failed, policy())
    assert (view.verdict, view.would_ms, view.would_action) == ("same", view.acted_ms, "rollback")
    assert view.recorded == pytest.approx(view.backtested)


def test_a_stricter_policy_acts_no_later(failed: LedgerView) -> None:
    view = tried(failed, policy(Guard("delivery", at_least_ppm=980_000, floor_ppm=985_000), alpha_ppm=50_000))
    assert view.verdict in ("earlier", "same")
    assert view.would_ms is not None
    assert view.acted_ms is not None
    assert view.would_ms <= view.acted_ms


def test_a_laxer_policy_acts_later_or_not_at_all(failed: LedgerView) -> None:
    view = tried(failed, policy(Guard("delivery", at_least_ppm=500_000, floor_ppm=560_000)))
    assert view.verdict in ("later", "only_recorded")


def test_a_policy_that_would_not_have_acted_says_so(healthy: LedgerView) -> None:
    view = tried(healthy, policy())
    assert (view.verdict, view.would_ms, view.sentence) == ("neither", None, "it would not have acted in 60 slots")


def test_it_says_when_each_stage_would_have_been_proven(healthy: LedgerView) -> None:
    passed = tried(healthy, policy()).passed_ms
    assert len(passed) == 3
    assert passed[0] is not None


def test_the_stored_evidence_is_not_touched(failed: LedgerView) -> None:
    before = msgspec.json.encode(failed)
    tried(failed, policy())
    assert msgspec.json.encode(failed) == before


def test_a_round_without_evidence_is_a_conflict(failed: LedgerView) -> None:
    with pytest.raises(Conflict, match="has no evidence"):
        backtest("r", policy(), failed.rounds[0], [])


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (policy(unit=UnitKind.EVENT), "unit"),
        (policy(events=(*CRITICAL_EVENTS, "session_started")), "events"),
        (policy(Guard("delivery"), Guard("soon", Metric.WITHIN, deadline_ms=100)), "guards[1].metric"),
    ],
)
def test_a_policy_that_asks_for_what_was_not_counted_is_refused(asked: Plan, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_policy(asked, policy())
    assert caught.value.field == field


def test_a_policy_that_asks_for_less_can_be_tried(failed: LedgerView) -> None:
    less = policy(events=CRITICAL_EVENTS[:2])
    check_policy(less, policy())
    assert tried(failed, less).would_ms is not None
