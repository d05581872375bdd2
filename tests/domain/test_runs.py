"""Complete runs: begun where the opening event was delivered, complete where the closing one is, in time."""

import pytest

from controller.domain.metrics import Family, Metric, UnitKind
from controller.domain.outcomes import OutcomeClass
from controller.domain.tallies import EvidenceKey, Proof, Tally
from controller.domain.unit_book import UnitBook
from controller.domain.units import Ticket, UnitRules
from tests.domain.builders import MINUTE, NOW

DELIVERED, FAILED = OutcomeClass.DELIVERED, OutcomeClass.FAILED
FIVE_MINUTES = Family(Metric.COMPLETENESS, 5 * MINUTE, "started", "completed")
EVENTS = frozenset({"started", "thinking", "completed"})


class Runs:
    """A book in which runs are judged."""

    def __init__(self, kind: UnitKind = UnitKind.USER_10M, most: int = 100) -> None:
        self.rules = UnitRules("r", kind, EVENTS, runs=FIVE_MINUTES)
        self.book = UnitBook(most)

    def tries(self, event: str, run: str = "1", user: str = "alice", at: int = NOW, arm: str = "canary") -> Ticket:
        return self.book.attempt(self.rules, arm=arm, epoch=1, user=user, run=run, event_type=event, now_ms=at)

    def told(self, event: str, outcome: OutcomeClass = DELIVERED, *args: str, at: int = NOW) -> None:
        self.book.settle(self.tries(event, *args, at=at), outcome)

    def evidence(self, stream: str = "run") -> Tally:
        return self.book.drain().get(EvidenceKey("r", 1, "canary", f"completed_5m/{stream}"), Proof()).tally

    def open(self) -> int:
        return self.book.open_units().get(("r", "canary", "completed_5m/run"), 0)


@pytest.fixture
def runs() -> Runs:
    return Runs()


def test_a_run_that_begins_and_ends_in_time_is_complete(runs: Runs):
    runs.told("started")
    assert (runs.evidence(), runs.open()) == ((0, 0), 1)
    runs.told("completed", at=NOW + MINUTE)
    assert (runs.evidence(), runs.open()) == ((0, 1_000), 0)


def test_a_run_that_has_not_ended_by_its_deadline_has_failed(runs: Runs):
    runs.told("started")
    runs.book.sweep(NOW + 5 * MINUTE - 1)
    assert runs.evidence() == (0, 0)
    runs.book.sweep(NOW + 5 * MINUTE)
    assert (runs.evidence(), runs.open()) == ((1_000, 1_000), 0)
    runs.told("completed", at=NOW + 6 * MINUTE)
    assert runs.evidence() == (0, 0)


def test_an_end_that_is_not_delivered_is_no_end(runs: Runs):
    runs.told("started")
    runs.told("completed", FAILED)
    assert runs.evidence() == (1_000, 1_000)


def test_a_run_whose_beginning_was_not_delivered_is_charged_to_delivery_alone(runs: Runs):
    runs.told("started", FAILED)
    runs.told("completed")
    runs.book.sweep(NOW + 5 * MINUTE)
    assert runs.evidence() == (0, 0)


def test_an_end_that_is_known_before_its_beginning_counts_when_both_are(runs: Runs):
    slow = runs.tries("started")
    runs.told("completed")
    assert runs.evidence() == (0, 0)
    runs.book.settle(slow, DELIVERED)
    assert runs.evidence() == (0, 1_000)


@pytest.mark.parametrize("outcome", [OutcomeClass.ABANDONED, OutcomeClass.INTERRUPTED])
@pytest.mark.parametrize("event", ["started", "thinking", "completed"])
def test_a_run_that_a_user_left_or_our_process_ended_is_outside_the_sample(
    runs: Runs, event: str, outcome: OutcomeClass
):
    if event != "started":
        runs.told("started")
    runs.told(event, outcome)
    runs.book.sweep(NOW + 5 * MINUTE)
    assert (runs.evidence(), runs.open()) == ((0, 0), 0)


def test_a_users_first_run_weighs_once_and_the_later_ones_enter_as_their_share(runs: Runs):
    for run, outcome in (("1", DELIVERED), ("2", FAILED), ("3", DELIVERED)):
        runs.told("started", DELIVERED, run)
        runs.told("completed", outcome, run)
    assert runs.evidence() == (0, 1_000)
    runs.book.sweep(NOW + 10 * MINUTE)
    assert runs.evidence("later") == (500, 1_000)


@pytest.mark.parametrize("kind", [UnitKind.RUN, UnitKind.EVENT])
def test_where_runs_or_events_are_the_units_each_run_weighs(kind: UnitKind):
    runs = Runs(kind)
    for run, outcome in (("1", DELIVERED), ("2", FAILED), ("3", DELIVERED)):
        runs.told("started", DELIVERED, run)
        runs.told("completed", outcome, run)
    assert runs.evidence() == (1_000, 3_000)


def test_an_event_without_a_run_belongs_to_none(runs: Runs):
    runs.told("started", DELIVERED, "")
    assert runs.open() == 0


def test_an_end_without_a_beginning_is_nothing(runs: Runs):
    runs.told("completed")
    assert runs.evidence() == (0, 0)


def test_a_full_book_takes_no_more_runs_and_says_so():
    runs = Runs(UnitKind.EVENT, most=2)
    for run in "abcd":
        runs.told("started", DELIVERED, run)
    assert (runs.open(), runs.book.unadmitted) == (2, 2)


def test_rollouts_with_different_deadlines_wait_for_their_own():
    runs = Runs(UnitKind.EVENT)
    slow = UnitRules("s", UnitKind.EVENT, EVENTS, runs=Family(Metric.COMPLETENESS, 60 * MINUTE, "started", "completed"))
    given = {"arm": "canary", "epoch": 1, "user": "u", "event_type": "started", "now_ms": NOW}
    runs.book.settle(runs.book.attempt(slow, run="x", **given), DELIVERED)
    runs.told("started", DELIVERED, "y", at=NOW + MINUTE)
    runs.book.sweep(NOW + 6 * MINUTE)
    assert runs.evidence() == (1_000, 1_000)
    runs.book.sweep(NOW + 60 * MINUTE)
    assert EvidenceKey("s", 1, "canary", "completed_1h/run") in runs.book.drain()
