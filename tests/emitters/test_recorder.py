from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from controller.emitters import DeliveryAttempt, DeliveryOutcome, DeliveryRecorder, DeliveryStatus, OutcomeClass
from controller.emitters.counters import OTHER


class Listening:
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.attempts: list[DeliveryAttempt] = []
        self.outcomes: list[DeliveryOutcome] = []

    def attempted(self, attempt: DeliveryAttempt) -> None:
        self.attempts.append(attempt)

    def settled(self, outcome: DeliveryOutcome) -> None:
        self.outcomes.append(outcome)


class Raising:
    def attempted(self, attempt: DeliveryAttempt) -> None:
        raise RuntimeError(attempt.event_id)

    def settled(self, outcome: DeliveryOutcome) -> None:
        raise RuntimeError(outcome.event_id)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def attempt(event_id: str = "e1", event_type: str = "agent_started", variant: str = "unified") -> DeliveryAttempt:
    return DeliveryAttempt(event_id, event_type, "alice", "run-1", "thread-1", variant)


def test_an_attempt_that_is_confirmed_counts_as_delivered_with_its_latency() -> None:
    clock = Clock()
    recorder = DeliveryRecorder(clock=clock)
    opened = recorder.attempt(attempt())
    clock.now += 0.25
    assert recorder.settle("e1", DeliveryStatus.CONFIRMED)
    assert opened.outcome is not None
    assert opened.outcome.delivered
    assert opened.outcome.latency_ms == pytest.approx(250.0)
    counters = recorder.counters()
    assert (counters.attempted, counters.total, counters.delivered, counters.pending) == (1, 1, 1, 0)


def test_only_the_first_outcome_of_an_event_counts() -> None:
    recorder, hearing = DeliveryRecorder(), Listening()
    recorder.add_listener(hearing)
    recorder.attempt(attempt())
    assert recorder.settle("e1", DeliveryStatus.TIMEOUT)
    assert not recorder.settle("e1", DeliveryStatus.CONFIRMED)
    assert not recorder.record(recorder.outcomes()[0])
    assert [outcome.status for outcome in hearing.outcomes] == [DeliveryStatus.TIMEOUT]
    assert recorder.counters().ignored_records == 2


def test_an_outcome_without_an_attempt_is_ignored_and_counted() -> None:
    recorder = DeliveryRecorder()
    assert not recorder.settle("unknown", DeliveryStatus.CONFIRMED)
    assert (recorder.counters().total, recorder.counters().ignored_records) == (0, 1)


def test_an_attempt_repeated_after_its_outcome_opens_nothing() -> None:
    recorder = DeliveryRecorder()
    recorder.attempt(attempt())
    recorder.settle("e1", DeliveryStatus.CONFIRMED)
    again = recorder.attempt(attempt())
    assert again.outcome is not None
    assert (recorder.counters().attempted, recorder.pending) == (1, 0)


def test_silence_past_the_deadline_is_a_failure() -> None:
    clock = Clock()
    recorder = DeliveryRecorder(delivery_deadline=5.0, clock=clock)
    recorder.attempt(attempt("early"))
    clock.now += 3
    recorder.attempt(attempt("late"))
    clock.now += 2
    assert recorder.sweep() == 1
    assert [(out.event_id, out.status) for out in recorder.outcomes()] == [("early", DeliveryStatus.TIMEOUT)]
    assert recorder.outcomes()[0].outcome_class is OutcomeClass.FAILED
    assert recorder.sweep(clock.now + 3) == 1
    assert recorder.pending == 0


def test_too_many_open_attempts_fail_the_oldest_instead_of_losing_it() -> None:
    recorder = DeliveryRecorder(max_pending=2)
    for name in ("a", "b", "c"):
        recorder.attempt(attempt(name))
    assert [(out.event_id, out.status) for out in recorder.outcomes()] == [("a", DeliveryStatus.OVERFLOW)]
    assert recorder.pending == 2


def test_details_beyond_the_capacity_are_dropped_and_counted_but_every_listener_has_heard_them() -> None:
    recorder, hearing = DeliveryRecorder(capacity=3), Listening()
    recorder.add_listener(hearing)
    for number in range(5):
        recorder.attempt(attempt(f"e{number}"))
        recorder.settle(f"e{number}", DeliveryStatus.CONFIRMED)
    assert [out.event_id for out in recorder.outcomes()] == ["e2", "e3", "e4"]
    assert (recorder.counters().dropped_records, recorder.counters().delivered) == (2, 5)
    assert len(hearing.outcomes) == 5


def test_a_listener_that_raises_is_counted_and_the_others_still_hear() -> None:
    recorder, hearing = DeliveryRecorder(), Listening()
    recorder.add_listener(Raising())
    recorder.add_listener(hearing)
    recorder.attempt(attempt())
    recorder.settle("e1", DeliveryStatus.CONFIRMED)
    assert (len(hearing.attempts), len(hearing.outcomes)) == (1, 1)
    assert recorder.counters().listener_errors == 2


def test_a_removed_listener_hears_nothing_more() -> None:
    recorder, hearing = DeliveryRecorder(), Listening()
    recorder.add_listener(hearing)
    recorder.remove_listener(hearing)
    recorder.attempt(attempt())
    assert hearing.attempts == []


def test_counts_are_kept_apart_by_variant_and_event_and_add_up() -> None:
    recorder = DeliveryRecorder()
    for number, (variant, status) in enumerate(
        [("unified", DeliveryStatus.CLOSED), ("unified", DeliveryStatus.ACKED), ("legacy", DeliveryStatus.LEFT)]
    ):
        recorder.attempt(attempt(f"e{number}", variant=variant))
        recorder.settle(f"e{number}", status)
    counters = recorder.counters()
    assert counters.of_variant("unified").success_rate == 0.5
    assert counters.of_variant("legacy").success_rate is None
    assert counters.of_variant("legacy").abandoned == 1
    assert counters.by_event["unified", "agent_started"].total == 2


def test_the_number_of_kinds_kept_apart_is_bounded() -> None:
    recorder = DeliveryRecorder()
    for number in range(1_200):
        recorder.attempt(attempt(f"e{number}", event_type=f"kind-{number}"))
    counters = recorder.counters()
    assert len(counters.by_event) == 1_001
    assert counters.by_event[OTHER, OTHER].attempted == 200
    assert counters.attempted == 1_200


def test_everything_open_can_be_interrupted_at_once() -> None:
    recorder = DeliveryRecorder()
    recorder.attempt(attempt("a"))
    recorder.attempt(attempt("b"))
    assert recorder.interrupt_pending("shutdown") == 2
    assert recorder.counters().interrupted == 2


async def test_whoever_waits_for_an_outcome_is_woken_once_it_is_there() -> None:
    recorder = DeliveryRecorder()
    opened = recorder.attempt(attempt())
    recorder.settle("e1", DeliveryStatus.ACKED)
    assert (await opened.settled()).status is DeliveryStatus.ACKED
    await recorder.all_settled()


@pytest.mark.parametrize("wrong", [{"capacity": 0}, {"max_pending": 0}, {"delivery_deadline": 0}])
def test_bounds_that_make_no_sense_are_refused_by_name(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DeliveryRecorder(**wrong)  # type: ignore[arg-type]


class ExactlyOneOutcome(RuleBasedStateMachine):
    """Whatever happens in whatever order, each attempt is heard once and settled at most once."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.recorder = DeliveryRecorder(capacity=1_000, delivery_deadline=5.0, max_pending=4, clock=self.clock)
        self.hearing = Listening()
        self.recorder.add_listener(Raising())
        self.recorder.add_listener(self.hearing)
        self.made = 0

    @rule(target=ids)
    def a_new_attempt(self) -> str:
        self.made += 1
        self.recorder.attempt(attempt(f"e{self.made}"))
        return f"e{self.made}"

    @rule(target=ids, event_id=ids)
    def a_repeated_attempt(self, event_id: str) -> object:
        self.recorder.attempt(attempt(event_id))
        return multiple()

    @rule(event_id=ids, status=st.sampled_from(DeliveryStatus))
    def an_outcome(self, event_id: str, status: DeliveryStatus) -> None:
        was_open = event_id not in {outcome.event_id for outcome in self.hearing.outcomes}
        assert self.recorder.settle(event_id, status) is was_open

    @rule(seconds=st.floats(0, 6))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds
        self.recorder.sweep()

    @rule()
    def the_process_ends(self) -> None:
        self.recorder.interrupt_pending("end")

    @invariant()
    def no_attempt_is_lost_or_counted_twice(self) -> None:
        settled = [outcome.event_id for outcome in self.hearing.outcomes]
        counters = self.recorder.counters()
        assert len(settled) == len(set(settled))
        assert len(self.hearing.attempts) == self.made == counters.attempted
        assert counters.attempted == counters.total + self.recorder.pending
        assert counters.total == len(settled)
        assert self.recorder.pending <= 4


TestExactlyOneOutcome = ExactlyOneOutcome.TestCase
TestExactlyOneOutcome.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
