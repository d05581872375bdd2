from __future__ import annotations

import logging

import pytest

from controller.emitters import (
    DeliveryAttempt,
    DeliveryRecorder,
    DeliveryStatus,
    EmitterRouter,
    IncompleteRun,
    OrderViolation,
    RunEnd,
    RunTracker,
    UserExecutionContext,
)
from tests.emitters.flags import ClientFor, FlagProvider
from tests.emitters.sockets import Backend, eventually


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Following:
    """A tracker on a recorder, with a clock to turn."""

    def __init__(self, **settings: int) -> None:
        self.clock = Clock()
        self.alerts: list[IncompleteRun] = []
        self.recorder = DeliveryRecorder(clock=self.clock)
        self.tracker = RunTracker(clock=self.clock, on_incomplete=self.alerts.append, **settings)
        self.tracker.attach(self.recorder)
        self._number = 0

    def event(
        self,
        event_type: str,
        status: DeliveryStatus | None = DeliveryStatus.CONFIRMED,
        run: str | None = "run-1",
        variant: str = "unified",
    ) -> str:
        self._number += 1
        event_id = f"e{self._number}"
        self.recorder.attempt(DeliveryAttempt(event_id, event_type, "alice", run, None, variant))
        if status is not None:
            self.recorder.settle(event_id, status)
        return event_id

    def ends(self) -> dict[tuple[str, RunEnd], int]:
        return self.tracker.counters().ends


WHOLE = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed")


def test_a_run_from_its_start_to_its_delivered_end_is_complete() -> None:
    following = Following()
    for event_type in WHOLE:
        following.event(event_type)
    assert following.ends() == {("unified", RunEnd.COMPLETE): 1}
    assert (following.tracker.open_runs, following.tracker.counters().violations, following.alerts) == (0, {}, [])
    assert following.tracker.counters().completeness("unified") == 1.0
    assert following.tracker.counters().completeness("legacy") is None


def test_a_run_whose_end_was_not_delivered_is_incomplete_at_once() -> None:
    following = Following()
    following.event("agent_started")
    following.event("agent_completed", DeliveryStatus.TIMEOUT)
    assert following.alerts == [
        IncompleteRun("alice", "run-1", "unified", "agent_completed", "agent_completed was not delivered")
    ]
    assert following.tracker.counters().completeness("unified") == 0.0


def test_a_run_that_falls_silent_is_incomplete_after_the_deadline() -> None:
    following = Following(deadline=300)
    following.event("agent_started")
    following.clock.now += 200
    following.event("agent_thinking")
    following.clock.now += 299
    assert following.tracker.sweep()
    assert following.alerts == []
    following.clock.now += 1
    assert not following.tracker.sweep()
    [alert] = following.alerts
    assert (alert.last_event, alert.reason) == ("agent_thinking", "no event for 300 s")


@pytest.mark.parametrize(
    ("status", "end"),
    [(DeliveryStatus.LEFT, RunEnd.ABANDONED), (DeliveryStatus.INTERRUPTED, RunEnd.INTERRUPTED)],
)
def test_a_run_that_held_such_an_event_takes_its_class_and_stays_outside_the_rate(
    status: DeliveryStatus, end: RunEnd
) -> None:
    for last in ("agent_thinking", "agent_completed"):
        following = Following(deadline=300)
        following.event("agent_started")
        following.event(last, status)
        following.clock.now += 300
        following.tracker.sweep()
        assert (following.ends(), following.alerts) == ({("unified", end): 1}, [])


def test_a_user_who_left_and_came_back_for_the_end_has_seen_a_complete_run() -> None:
    following = Following()
    following.event("agent_started")
    following.event("agent_thinking", DeliveryStatus.LEFT)
    following.event("agent_completed")
    assert following.ends() == {("unified", RunEnd.COMPLETE): 1}


def test_an_error_ends_a_run_and_is_counted_apart() -> None:
    following = Following()
    following.event("agent_started")
    following.event("agent_error")
    assert (following.ends(), following.alerts) == ({("unified", RunEnd.ERRORED): 1}, [])


def test_the_variant_that_carried_the_last_event_is_charged() -> None:
    following = Following(deadline=300)
    following.event("agent_started", variant="unified")
    following.event("agent_thinking", variant="legacy")
    following.clock.now += 300
    following.tracker.sweep()
    assert following.ends() == {("legacy", RunEnd.INCOMPLETE): 1}


@pytest.mark.parametrize(
    ("events", "violation"),
    [
        (["agent_completed"], OrderViolation.COMPLETED_WITHOUT_STARTED),
        (["agent_started", "tool_completed"], OrderViolation.TOOL_COMPLETED_WITHOUT_EXECUTING),
        (["agent_started", "tool_executing", "tool_completed", "tool_completed"], None),
        (["agent_started", "agent_started"], OrderViolation.DUPLICATE),
    ],
)
def test_events_that_come_out_of_order_are_counted(events: list[str], violation: OrderViolation | None) -> None:
    following = Following()
    for event_type in events:
        following.event(event_type)
    expected = violation or OrderViolation.TOOL_COMPLETED_WITHOUT_EXECUTING
    assert following.tracker.counters().violations == {("unified", expected): 1}


def test_a_second_end_while_the_first_is_under_way_is_a_duplicate() -> None:
    following = Following()
    following.event("agent_started")
    first = following.event("agent_completed", None)
    following.event("agent_completed", None)
    following.recorder.settle(first, DeliveryStatus.CONFIRMED)
    assert following.tracker.counters().violations == {("unified", OrderViolation.DUPLICATE): 1}
    assert following.ends() == {("unified", RunEnd.COMPLETE): 1}


def test_tools_that_run_at_the_same_time_are_in_order() -> None:
    following = Following()
    for event_type in ("agent_started", "tool_executing", "tool_executing", "tool_completed", "tool_completed"):
        following.event(event_type)
    assert following.tracker.counters().violations == {}


def test_memory_is_bounded_and_who_had_to_give_way_is_reported() -> None:
    following = Following(max_open=2)
    for run in ("a", "b", "c"):
        following.event("agent_started", run=run)
    assert (following.tracker.open_runs, following.tracker.evicted) == (2, 1)
    assert [(alert.run_id, alert.reason) for alert in following.alerts] == [("a", "more than 2 runs were open")]


def test_events_without_a_run_are_not_followed_and_it_can_be_used_without_a_recorder() -> None:
    following = Following()
    following.event("agent_started", run=None)
    assert following.tracker.open_runs == 0
    tracker = RunTracker()
    for event_type in WHOLE:
        tracker.observe(event_type, "alice", "run-1")
    assert tracker.counters().ends == {("", RunEnd.COMPLETE): 1}


def test_an_alert_that_raises_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_alert: IncompleteRun) -> None:
        raise RuntimeError("broken")

    caplog.set_level(logging.CRITICAL)
    tracker = RunTracker(max_open=1, on_incomplete=broken)
    tracker.observe("agent_started", "alice", "a")
    tracker.observe("agent_started", "alice", "b")
    tracker.observe("agent_started", "alice", "c")
    assert (tracker.counters().alert_errors, tracker.evicted, tracker.open_runs) == (2, 2, 1)


@pytest.mark.parametrize("wrong", [{"deadline": 0}, {"max_open": 0}])
def test_bounds_that_make_no_sense_are_refused_by_name(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RunTracker(**wrong)  # type: ignore[arg-type]


async def test_the_router_releases_its_pins_when_the_tracker_says_that_a_run_is_over(
    backend: Backend, client_for: ClientFor
) -> None:
    ended: list[str] = []
    tracker = RunTracker(deadline=0.1)
    router = EmitterRouter(
        client_for(FlagProvider(canary=True), "tracked"),
        backend.manager,
        tracker=tracker,
        on_run_end=lambda _assignment, _user, run: ended.append(run),
    )
    await backend.connect("alice")
    silent = router.emitter_for(UserExecutionContext("alice", "t", run_id="silent"))
    await silent.emit_agent_started({})
    assert router.open_runs()["unified"] == 1
    await eventually(lambda: ended == ["silent"])  # given up by the sweep of the manager, without anybody asking
    assert router.open_runs()["unified"] == 0
    assert tracker.counters().completeness("unified") == 0.0
    router.close()
    await silent.emit_agent_started({})
    assert tracker.open_runs == 0
