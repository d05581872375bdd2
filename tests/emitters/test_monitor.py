from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from controller.emitters import (
    DeliveryAttempt,
    DeliveryRecorder,
    DeliveryStatus,
    EmitterRouter,
    GoldenPathAlert,
    GoldenPathMonitor,
    UserExecutionContext,
    connect,
)
from tests.emitters.flags import ClientFor, FlagProvider
from tests.emitters.sockets import Backend, eventually, running_backend


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


class Called:
    def __init__(self, *raising: bool) -> None:
        self.reasons: list[str] = []
        self._raising = list(raising)

    def __call__(self, reason: str) -> None:
        self.reasons.append(reason)
        if self._raising and self._raising.pop(0):
            raise RuntimeError("out of reach")


async def feed(monitor: GoldenPathMonitor, delivered: int, failed: int) -> None:
    for success in [True] * delivered + [False] * failed:
        await monitor.validate_event_delivery("agent_thinking", "alice", success)


async def test_less_than_95_per_cent_rolls_back() -> None:
    rollback = Called()
    monitor = GoldenPathMonitor(on_rollback=rollback)
    await feed(monitor, 94, 6)
    assert rollback.reasons == ["94.95 % of 99 critical events were delivered"]
    assert monitor.latched == rollback.reasons[0]


async def test_exactly_95_per_cent_does_not() -> None:
    rollback = Called()
    monitor = GoldenPathMonitor(on_rollback=rollback)
    await feed(monitor, 95, 5)
    assert (monitor.calculate_success_rate(), rollback.reasons) == (95.0, [])
    assert GoldenPathMonitor().calculate_success_rate() == 100.0


@pytest.mark.parametrize(("threshold", "failed", "fires"), [(99.9, 1, False), (99.9, 2, True), (100.0, 1, True)])
async def test_a_threshold_that_binary_fractions_cannot_hold_is_exact_too(
    threshold: float, failed: int, fires: bool
) -> None:
    rollback = Called()
    monitor = GoldenPathMonitor(threshold=threshold, on_rollback=rollback)
    await feed(monitor, 1_000 - failed, failed)
    assert bool(rollback.reasons) is fires


async def test_the_first_failures_alone_are_no_sample() -> None:
    rollback = Called()
    monitor = GoldenPathMonitor(on_rollback=rollback, min_samples=20)
    await feed(monitor, 0, 19)
    assert rollback.reasons == []
    await feed(monitor, 0, 1)
    assert rollback.reasons == ["0.00 % of 20 critical events were delivered"]


async def test_there_is_one_rollback_per_episode_and_a_reset_begins_another() -> None:
    rollback = Called()
    monitor = GoldenPathMonitor(on_rollback=rollback)
    await feed(monitor, 0, 200)
    assert len(rollback.reasons) == 1
    monitor.reset()
    assert (monitor.latched, monitor.calculate_success_rate()) == (None, 100.0)
    await feed(monitor, 0, 20)
    assert (len(rollback.reasons), monitor.rollbacks) == (2, 2)


async def test_the_window_forgets_the_old() -> None:
    rollback = Called()
    monitor = GoldenPathMonitor(on_rollback=rollback, window=100, min_samples=100)
    await feed(monitor, 1_000, 5)
    assert rollback.reasons == []
    await feed(monitor, 94, 1)
    assert rollback.reasons == ["94.00 % of 100 critical events were delivered"]


async def test_other_events_count_for_nothing() -> None:
    alerts: list[GoldenPathAlert] = []
    monitor = GoldenPathMonitor(on_alert=alerts.append)
    for _ in range(30):
        await monitor.validate_event_delivery("progress_update", "alice", success=False)
    assert (monitor.calculate_success_rate(), alerts) == (100.0, [])


async def test_each_failed_critical_event_alerts_in_the_words_of_the_seed(caplog: pytest.LogCaptureFixture) -> None:
    alerts: list[GoldenPathAlert] = []
    monitor = GoldenPathMonitor(on_alert=alerts.append)
    await feed(monitor, 1, 0)
    await monitor.validate_event_delivery("tool_completed", "alice", success=False)
    await monitor.validate_event_delivery("agent_completed", "bob\nGOLDEN PATH ROLLBACK", success=False)
    assert caplog.messages == [
        "GOLDEN PATH RISK: tool_completed failed for user alice",
        "GOLDEN PATH RISK: agent_completed failed for user bob?GOLDEN PATH ROLLBACK",
    ]
    assert [(alert.event_type, alert.user_id) for alert in alerts] == [
        ("tool_completed", "alice"),
        ("agent_completed", "bob\nGOLDEN PATH ROLLBACK"),
    ]
    assert alerts[0].success_rate == 50.0


async def test_a_rollback_that_raises_has_not_happened_and_is_tried_again() -> None:
    rollback = Called(True, False)
    monitor = GoldenPathMonitor(on_rollback=rollback)
    await feed(monitor, 0, 20)
    assert (len(rollback.reasons), monitor.latched, monitor.rollbacks) == (1, None, 0)
    await feed(monitor, 0, 5)
    assert (len(rollback.reasons), monitor.rollbacks, monitor.callback_errors) == (2, 1, 1)


async def test_alerts_that_take_long_are_bounded() -> None:
    released = asyncio.Event()

    async def slow(_alert: GoldenPathAlert) -> None:
        await released.wait()

    monitor = GoldenPathMonitor(on_alert=slow)
    await feed(monitor, 0, 150)
    assert monitor.suppressed_alerts == 50
    released.set()
    await monitor.aclose()


async def test_the_report_tells_people_where_things_stand() -> None:
    monitor = GoldenPathMonitor()
    await feed(monitor, 97, 3)
    report = monitor.get_health_report()
    assert (report["status"], report["success_rate"], report["window"]) == ("WARNING", 97.0, 100)
    assert report["events"]["agent_thinking"] == {"delivered": 97, "failed": 3}
    assert (report["rolled_back"], report["judged_by"], report["goals_met"]) == (None, "this monitor", [])
    assert GoldenPathMonitor().get_health_report()["status"] == "HEALTHY"
    await feed(monitor, 0, 30)
    assert monitor.get_health_report()["status"] == "AT_RISK"


@pytest.mark.parametrize("wrong", [{"threshold": 0}, {"threshold": 101}, {"min_samples": 0}, {"min_samples": 1_001}])
def test_bounds_that_make_no_sense_are_refused_by_name(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GoldenPathMonitor(**wrong)  # type: ignore[arg-type]


# --- attached: what the recorder hears ---


def settle(recorder: DeliveryRecorder, number: int, status: DeliveryStatus, variant: str = "unified") -> None:
    recorder.attempt(DeliveryAttempt(f"{variant}-{number}", "agent_started", "alice", None, None, variant))
    recorder.settle(f"{variant}-{number}", status)


def test_it_works_where_no_event_loop_runs() -> None:
    rollback, recorder = Called(), DeliveryRecorder()
    GoldenPathMonitor(on_rollback=rollback).attach(recorder)
    for number in range(20):
        settle(recorder, number, DeliveryStatus.TIMEOUT)
    assert (len(rollback.reasons), recorder.counters().listener_errors) == (1, 0)


def test_only_the_canary_may_fire_and_users_who_left_or_restarts_are_not_looked_at() -> None:
    rollback, recorder = Called(), DeliveryRecorder()
    monitor = GoldenPathMonitor(on_rollback=rollback)
    monitor.attach(recorder)
    for number in range(100):
        settle(recorder, number, DeliveryStatus.TIMEOUT, "legacy")
    outside = [DeliveryStatus.LEFT, DeliveryStatus.NO_CONNECTION, DeliveryStatus.INTERRUPTED]
    for number, status in enumerate(outside * 20):
        settle(recorder, number, status)
    assert (rollback.reasons, monitor.calculate_success_rate()) == ([], 100.0)


@pytest.fixture
async def quick() -> AsyncIterator[Backend]:
    async with running_backend(delivery_timeout=0.1, max_timeouts=1_000) as backend:
        yield backend


async def test_alone_it_takes_a_failing_canary_back_within_a_moment(quick: Backend, client_for: ClientFor) -> None:
    alice = await quick.connect("alice")
    alice.never_pong()
    router = EmitterRouter(client_for(FlagProvider(canary=True), "alone"), quick.manager)
    monitor = GoldenPathMonitor(on_rollback=router.rollback)
    monitor.attach(quick.manager.recorder)
    emitter = router.emitter_for(UserExecutionContext("alice", "thread-1"))
    for _ in range(20):
        await emitter.emit_agent_thinking({})
    await eventually(lambda: router.latched is not None)
    assert router.latched == "0.00 % of 20 critical events were delivered"
    await emitter.emit_agent_thinking({})
    assert emitter.variant == "legacy"
    await monitor.aclose()
    router.close()


async def test_with_a_controller_it_reports_and_alerts_and_does_not_judge(
    quick: Backend, client_for: ClientFor
) -> None:
    class Reporter:
        def __getattr__(self, _name: str) -> object:
            return lambda *_args, **_kwargs: None

    alice = await quick.connect("alice")
    alice.never_pong()
    router = EmitterRouter(client_for(FlagProvider(canary=True), "judged"), quick.manager)
    alerts: list[GoldenPathAlert] = []
    monitor = GoldenPathMonitor(on_rollback=router.rollback, on_alert=alerts.append)
    monitor.attach(quick.manager.recorder)
    connect(quick.manager.recorder, router, Reporter(), monitor=monitor)  # type: ignore[arg-type]
    emitter = router.emitter_for(UserExecutionContext("alice", "thread-1"))
    for _ in range(30):
        await emitter.emit_agent_thinking({})
    await quick.manager.recorder.all_settled()
    assert (len(alerts), monitor.get_health_report()["status"]) == (30, "AT_RISK")
    assert (router.latched, monitor.get_health_report()["judged_by"]) == (None, "the controller")
    await monitor.trigger_rollback_procedures()
    assert router.latched is None
    router.close()
