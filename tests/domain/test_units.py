"""The unit book: what an attempt weighs, and what is open."""

from typing import Any

import pytest

from controller.domain.metrics import LATER, REPORTING, Family, Metric, UnitKind
from controller.domain.outcomes import OutcomeClass
from controller.domain.tallies import EvidenceKey, Proof, Tally
from controller.domain.unit_book import UnitBook
from controller.domain.units import Ticket, UnitRules
from tests.domain.builders import MINUTE, NOW

DELIVERED, FAILED = OutcomeClass.DELIVERED, OutcomeClass.FAILED
OUTSIDE = [OutcomeClass.ABANDONED, OutcomeClass.INTERRUPTED]
TYPES = frozenset({"started", "completed"})


WATCHED = {REPORTING, "abandoned", "interrupted"}


def rules(kind: UnitKind = UnitKind.USER_10M, **fields: Any) -> UnitRules:
    return UnitRules("r", kind, TYPES, **fields)


class Book(UnitBook):
    """A book with short calls: `book.tries("alice")` is an attempt of the canary at NOW.

    The unit is the user and the run at once. What is watched in every rollout is left out unless a test asks for it.
    """

    rules = rules()

    def tries(self, unit: str = "alice", event: str = "started", at: int = NOW, **fields: Any) -> Ticket:
        given = {"arm": "canary", "epoch": 1, "user": unit, "run": unit, **fields}
        return self.attempt(self.rules, event_type=event, now_ms=at, **given)

    def told(
        self, outcome: OutcomeClass = DELIVERED, *args: Any, latency: float | None = None, **fields: Any
    ) -> Ticket:
        ticket = self.tries(*args, **fields)
        self.settle(ticket, outcome, latency)
        return ticket

    def tallies(self) -> dict[EvidenceKey, Tally]:
        """What the guards of a plain rollout read, since the last drain."""
        return {key: proof.tally for key, proof in self.drain().items() if key.stream not in WATCHED}

    def evidence(self, stream: str = "started", *, arm: str = "canary", epoch: int = 1) -> Tally:
        """What one stream has got since the last drain; drains the book."""
        return self.drain().get(EvidenceKey("r", epoch, arm, stream), Proof()).tally


@pytest.fixture
def book() -> Book:
    return Book()


def empty(book: UnitBook) -> bool:
    book.sweep(NOW + 60 * MINUTE)
    book.drain()
    return not (len(book) or book._open_firsts or book._open or book._proofs or book._due or len(book._runs))


def test_a_units_first_outcome_of_a_type_weighs_once_and_at_once(book: Book):
    book.told(FAILED)
    book.told(DELIVERED)
    book.told(DELIVERED)
    assert book.evidence() == (1_000, 1_000)


def test_each_type_has_a_first_of_its_own(book: Book):
    book.told(FAILED, event="started")
    book.told(DELIVERED, event="completed")
    assert book.tallies() == {
        EvidenceKey("r", 1, "canary", "started"): (1_000, 1_000),
        EvidenceKey("r", 1, "canary", "completed"): (0, 1_000),
    }


def test_first_is_settled_at_the_attempt_and_not_by_who_resolves_first(book: Book):
    first, second = book.tries(), book.tries()
    book.settle(second, FAILED)
    assert book.evidence() == (0, 0)
    book.settle(first, DELIVERED)
    assert book.evidence() == (0, 1_000)


def test_later_outcomes_enter_as_their_failed_share_when_the_unit_closes(book: Book):
    for outcome in (DELIVERED, FAILED, DELIVERED, DELIVERED):
        book.told(outcome)
    assert book.evidence(LATER) == (0, 0)
    book.sweep(NOW + 10 * MINUTE)
    assert book.evidence(LATER) == (333, 1_000)


def test_a_unit_that_only_had_firsts_leaves_no_later_outcomes(book: Book):
    book.told(event="started")
    book.told(event="completed")
    book.drain()
    book.sweep(NOW + 10 * MINUTE)
    assert book.tallies() == {}


def test_a_unit_closes_ten_minutes_after_its_first_attempt_however_busy_it_is(book: Book):
    for minute in range(10):
        book.told(at=NOW + minute * MINUTE)
    book.sweep(NOW + 10 * MINUTE - 1)
    assert len(book) == 1
    book.sweep(NOW + 10 * MINUTE)
    assert len(book) == 0
    book.drain()
    book.told(FAILED, at=NOW + 10 * MINUTE)
    assert book.evidence() == (1_000, 1_000)


def test_an_attempt_after_ten_minutes_opens_a_new_unit_even_before_the_sweep(book: Book):
    book.told()
    book.told(FAILED, at=NOW + MINUTE)
    book.told(FAILED, at=NOW + 10 * MINUTE)
    assert book.tallies() == {
        EvidenceKey("r", 1, "canary", "started"): (1_000, 2_000),
        EvidenceKey("r", 1, "canary", LATER): (1_000, 1_000),
    }


def test_a_run_closes_when_it_is_over(book: Book):
    book.rules = rules(UnitKind.RUN)
    book.told(DELIVERED)
    book.told(FAILED)
    book.end_run("r", "canary", "alice")
    assert len(book) == 0
    assert book.evidence(LATER) == (1_000, 1_000)


def test_a_run_that_is_over_waits_for_its_last_pending_outcome(book: Book):
    book.rules = rules(UnitKind.RUN)
    book.told()
    pending = book.tries()
    book.end_run("r", "canary", "alice")
    assert len(book) == 1
    book.settle(pending, FAILED)
    assert len(book) == 0
    assert book.evidence(LATER) == (1_000, 1_000)


def test_a_first_that_is_settled_after_its_run_was_over_does_not_enter_the_later_ones_again(book: Book):
    book.rules = rules(UnitKind.RUN)
    slow = book.tries(event="completed")
    book.told()
    book.told(FAILED)
    book.end_run("r", "canary", "alice")
    book.settle(slow, DELIVERED)
    assert book.evidence(LATER) == (1_000, 1_000)


def test_an_ended_run_whose_time_ran_out_is_not_closed_a_second_time(book: Book):
    book.rules = rules(UnitKind.RUN)
    book.told()
    book.told(FAILED)
    pending = book.tries()
    book.end_run("r", "canary", "alice")
    book.sweep(NOW + 10 * MINUTE)
    book.settle(pending, FAILED)
    assert book.evidence(LATER) == (1_000, 1_000)


def test_the_end_of_an_unknown_run_is_nothing(book: Book):
    book.end_run("r", "canary", "nobody")
    assert empty(book)


@pytest.mark.parametrize("outcome", OUTSIDE)
def test_who_left_or_was_interrupted_is_outside_the_rate(book: Book, outcome: OutcomeClass):
    book.told(outcome)
    book.told(outcome)
    book.sweep(NOW + 10 * MINUTE)
    assert book.tallies() == {}
    assert empty(book)


@pytest.mark.parametrize("outcome", OUTSIDE)
def test_what_became_of_all_a_units_outcomes_is_told_when_it_closes(book: Book, outcome: OutcomeClass):
    for each in (DELIVERED, outcome, FAILED, outcome):
        book.told(each)
    book.sweep(NOW + 10 * MINUTE)
    found = book.drain()
    shares = {name: found[EvidenceKey("r", 1, "canary", name)].tally for name in ("abandoned", "interrupted")}
    assert shares == {name: (500 if name == outcome else 0, 1_000) for name in ("abandoned", "interrupted")}


def test_by_event_each_outcome_tells_whether_somebody_left(book: Book):
    book.rules = rules(UnitKind.EVENT)
    for each in (DELIVERED, OutcomeClass.ABANDONED):
        book.told(each, unit="")
    assert book.evidence("abandoned") == (1_000, 2_000)


# --- who failed ---


def test_failed_evidence_names_up_to_three_users(book: Book):
    for user in ("a", "b", "a", "c", "d"):
        book.told(FAILED, user)
    proof = book.drain()[EvidenceKey("r", 1, "canary", "started")]
    assert (proof.tally, proof.users) == ((4_000, 4_000), ("a", "b", "c"))


def test_runs_of_nobody_known_stand_for_users_of_their_own(book: Book):
    book.rules = rules(UnitKind.RUN)
    for run in "abcd":
        book.told(FAILED, run, user="")
    proof = book.drain()[EvidenceKey("r", 1, "canary", "started")]
    assert (proof.tally, proof.users) == ((4_000, 4_000), ("a", "b", "c"))


def test_delivered_evidence_names_nobody(book: Book):
    book.told(DELIVERED)
    assert book.drain()[EvidenceKey("r", 1, "canary", "started")].users == ()


# --- who has spoken ---


def test_a_unit_that_speaks_in_time_is_due_and_not_silent(book: Book):
    book.told(DELIVERED)
    book.told(FAILED, event="completed")
    assert book.evidence(REPORTING) == (0, 1_000)


def test_a_unit_that_says_nothing_by_its_deadline_is_silent_once(book: Book):
    ticket = book.tries()
    book.tries(event="completed")
    book.sweep(NOW + 4_999)
    assert book.evidence(REPORTING) == (0, 0)
    book.sweep(NOW + 5_000)
    assert book.evidence(REPORTING) == (1_000, 1_000)
    book.settle(ticket, FAILED)
    assert book.evidence(REPORTING) == (0, 0)


def test_whether_the_control_speaks_is_not_asked(book: Book):
    book.told(DELIVERED, arm="control")
    assert book.evidence(REPORTING, arm="control") == (0, 0)


def test_by_event_each_attempt_has_to_speak(book: Book):
    book.rules = rules(UnitKind.EVENT)
    book.tries(unit="")
    book.told(DELIVERED, unit="")
    book.sweep(NOW + 5_000)
    assert book.evidence(REPORTING) == (1_000, 2_000)


# --- in time ---


@pytest.mark.parametrize(
    ("outcome", "latency", "failed"),
    [(DELIVERED, 100.0, 0), (DELIVERED, 100.1, 1_000), (FAILED, None, 1_000), (DELIVERED, None, 0)],
)
def test_delivered_too_late_is_a_success_of_delivery_and_a_failure_of_its_deadline(
    book: Book, outcome: OutcomeClass, latency: float | None, failed: int
):
    book.rules = rules(within=(Family(Metric.WITHIN, 100),))
    book.told(outcome, latency=latency)
    found = book.tallies()
    assert found[EvidenceKey("r", 1, "canary", "within_100ms/started")] == (failed, 1_000)
    assert found[EvidenceKey("r", 1, "canary", "started")] == (1_000 if outcome is FAILED else 0, 1_000)


def test_later_outcomes_that_are_late_enter_the_later_ones_of_their_deadline(book: Book):
    book.rules = rules(within=(Family(Metric.WITHIN, 100),))
    for latency in (1.0, 500.0, 20.0):
        book.told(DELIVERED, latency=latency)
    book.sweep(NOW + 10 * MINUTE)
    found = book.tallies()
    assert found[EvidenceKey("r", 1, "canary", "within_100ms/later")] == (500, 1_000)
    assert found[EvidenceKey("r", 1, "canary", LATER)] == (0, 1_000)


def test_a_second_outcome_of_the_same_attempt_is_ignored(book: Book):
    ticket = book.told(DELIVERED)
    book.settle(ticket, FAILED)
    assert book.evidence() == (0, 1_000)


def test_an_event_type_that_is_not_judged_weighs_nothing_and_opens_nothing(book: Book):
    book.told(FAILED, event="typing")
    assert empty(book)


def test_an_outcome_without_a_unit_key_is_counted_as_unproved_and_weighs_nothing(book: Book):
    book.told(FAILED, unit="")
    assert book.unproved == 1
    assert empty(book)


def test_by_event_each_outcome_weighs_and_needs_no_key(book: Book):
    book.rules = rules(UnitKind.EVENT)
    for outcome in (FAILED, DELIVERED, FAILED):
        book.told(outcome, unit="")
    assert book.evidence() == (2_000, 3_000)
    assert book.unproved == 0
    assert empty(book)


def test_a_full_book_admits_no_new_unit_and_says_how_many_were_left_out():
    book = Book(most_units=2)
    for user in ("a", "b", "c", "d"):
        book.told(FAILED, user)
    assert book.unadmitted == 2
    assert len(book) == 2
    assert book.evidence() == (2_000, 2_000)


def test_a_full_book_never_evicts_so_that_nobody_counts_twice():
    book = Book(most_units=1)
    book.told(FAILED, "a")
    book.told(FAILED, "b")
    book.told(FAILED, "a")
    assert book.evidence() == (1_000, 1_000)


def test_units_attempted_without_an_outcome_are_open_until_it_arrives(book: Book):
    tickets = [book.tries(user) for user in ("a", "b", "c")]
    assert book.open_units() == {("r", "canary", "started"): 3}
    for ticket in tickets:
        book.settle(ticket, DELIVERED)
    assert book.open_units() == {}


def test_only_firsts_are_open(book: Book):
    book.told()
    book.tries()
    assert book.open_units() == {}


def test_a_first_stops_being_open_after_a_minute_and_still_weighs_when_it_is_settled(book: Book):
    ticket = book.tries()
    book.sweep(NOW + MINUTE - 1)
    assert book.open_units() != {}
    book.sweep(NOW + MINUTE)
    assert book.open_units() == {}
    book.settle(ticket, FAILED)
    assert book.evidence() == (1_000, 1_000)


def test_a_first_settled_after_its_unit_closed_weighs_once(book: Book):
    ticket = book.tries()
    book.sweep(NOW + 10 * MINUTE)
    book.settle(ticket, FAILED)
    book.settle(ticket, FAILED)
    assert book.evidence() == (1_000, 1_000)


def test_a_user_who_changes_arms_is_one_unit_in_each(book: Book):
    book.told(FAILED, arm="canary")
    book.told(DELIVERED, arm="control")
    assert book.tallies() == {
        EvidenceKey("r", 1, "canary", "started"): (1_000, 1_000),
        EvidenceKey("r", 1, "control", "started"): (0, 1_000),
    }


def test_evidence_stays_with_the_epoch_it_was_attempted_under(book: Book):
    early = book.tries(event="started", epoch=1)
    late = book.tries(event="completed", epoch=2)
    book.settle(late, FAILED)
    book.settle(early, FAILED)
    assert book.tallies() == {
        EvidenceKey("r", 1, "canary", "started"): (1_000, 1_000),
        EvidenceKey("r", 2, "canary", "completed"): (1_000, 1_000),
    }


def test_memory_returns_to_nothing_after_ten_minutes_even_if_nothing_was_ever_settled(book: Book):
    for user in range(200):
        book.tries(f"user-{user}", at=NOW + user)
        book.tries(f"user-{user}", at=NOW + user)
    book.sweep(NOW + 11 * MINUTE)
    assert empty(book)
