"""What was not proved is sent again to whoever comes back, under the same id."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from controller.emitters import DeliveryStatus, EmitReceipt, OutcomeClass
from tests.emitters.sockets import Backend, eventually, running_backend

DEADLINE_S = 2.0


@pytest.fixture
async def quick() -> AsyncIterator[Backend]:
    """Deadlines that a test can wait for, and a window of thrice as long."""
    async with running_backend(delivery_timeout=DEADLINE_S, replay_window=6.0) as backend:
        yield backend


async def emit(backend: Backend, user_id: str = "alice", event_type: str = "agent_thinking") -> EmitReceipt:
    return await backend.manager.emit_critical_event(user_id, event_type, {}, run_id="run-1")


async def lost(backend: Backend, user_id: str = "alice") -> None:
    """Wait until the user is known to be away."""
    await eventually(lambda: not backend.manager.get_connection_health(user_id).connections)


async def test_a_user_who_comes_back_in_time_gets_what_was_in_flight_and_it_counts_as_delivered(quick: Backend) -> None:
    first = await quick.connect("alice")
    first.stop_reading()
    receipts = [await emit(quick) for _ in range(3)]
    await quick.written("alice", 3)
    first.reset()
    await lost(quick)
    assert quick.manager.parked == 3
    back = await quick.connect("alice")
    outcomes = [await receipt.outcome() for receipt in receipts]
    assert {outcome.status for outcome in outcomes} == {DeliveryStatus.CONFIRMED}
    assert [event["event_id"] for event in back.received] == [receipt.event_id for receipt in receipts]
    assert quick.manager.recorder.counters().attempted == 3


async def test_events_emitted_while_the_user_is_away_wait_and_come_in_order_with_those_from_before(
    quick: Backend,
) -> None:
    first = await quick.connect("alice")
    first.stop_reading()
    receipts = [await emit(quick)]
    await quick.written("alice")
    first.say_goodbye(1001)  # a page that is being reloaded
    await lost(quick)
    receipts += [await emit(quick) for _ in range(2)]
    assert all(receipts)
    back = await quick.connect("alice")
    receipts.append(await emit(quick))
    assert {(await receipt.outcome()).status for receipt in receipts} == {DeliveryStatus.CONFIRMED}
    assert [event["event_id"] for event in back.received] == [receipt.event_id for receipt in receipts]


@pytest.mark.parametrize(
    ("how", "status", "outcome_class"),
    [
        ("leave", DeliveryStatus.LEFT, OutcomeClass.ABANDONED),
        ("break", DeliveryStatus.CLOSED, OutcomeClass.FAILED),
    ],
)
async def test_who_does_not_come_back_in_time_is_settled_by_the_way_of_going(
    quick: Backend, how: str, status: DeliveryStatus, outcome_class: OutcomeClass
) -> None:
    alice = await quick.connect("alice")
    alice.stop_reading()
    in_flight = await emit(quick)
    await quick.written("alice")
    if how == "leave":
        alice.say_goodbye(1000)
    else:
        alice.reset()
    await lost(quick)
    while_away = await emit(quick)
    outcome = await in_flight.outcome()
    assert (outcome.status, outcome.outcome_class) == (status, outcome_class)
    assert (await while_away.outcome()).status is DeliveryStatus.NO_CONNECTION


async def test_the_loss_is_the_outcome_after_the_grace_and_the_deadline_is_not_waited_for() -> None:
    async with running_backend(reconnect_grace=0.2, delivery_timeout=60.0) as backend:
        alice = await backend.connect("alice")
        alice.stop_reading()
        in_flight = await emit(backend)
        await backend.written("alice")
        alice.say_goodbye(1000)
        await lost(backend)
        while_away = await emit(backend)
        assert (await in_flight.outcome()).status is DeliveryStatus.LEFT
        assert (await while_away.outcome()).status is DeliveryStatus.NO_CONNECTION
        back = await backend.connect("alice")
        await back.event(1)
        assert [event["event_id"] for event in back.received] == [in_flight.event_id, while_away.event_id]
        await eventually(lambda: not backend.manager.get_connection_health("alice").in_flight)
        assert backend.manager.recorder.counters().abandoned == 2


async def test_who_comes_back_after_the_deadline_still_gets_the_events_and_the_outcome_stands(quick: Backend) -> None:
    first = await quick.connect("alice")
    first.stop_reading()
    receipt = await emit(quick)
    await quick.written("alice")
    first.reset()
    assert (await receipt.outcome()).status is DeliveryStatus.CLOSED
    back = await quick.connect("alice")
    assert (await back.event())["event_id"] == receipt.event_id
    await eventually(lambda: not quick.manager.get_connection_health("alice").in_flight)
    counters = quick.manager.recorder.counters()
    assert (counters.attempted, counters.failed, counters.delivered) == (1, 1, 0)
    assert quick.manager.get_connection_health("alice").timeouts_in_a_row == 0


async def test_nothing_is_replayed_after_the_window() -> None:
    async with running_backend(delivery_timeout=0.2, replay_window=0.4) as backend:
        first = await backend.connect("alice")
        first.stop_reading()
        await emit(backend)
        await backend.written("alice")
        first.reset()
        await lost(backend)
        await eventually(lambda: backend.manager.parked == 0)
        back = await backend.connect("alice")
        await (await emit(backend)).outcome()
        assert len(back.received) == 1
        assert await emit(backend, "nobody-known") is not None


async def test_an_event_that_keeps_breaking_its_reader_is_not_replayed_for_ever() -> None:
    async with running_backend(delivery_timeout=0.2, replay_window=1.0) as backend:
        clock = backend.manager.recorder.clock
        alice = await backend.connect("alice")
        alice.never_pong()
        receipt = await emit(backend)
        emitted_at = clock()
        for _ in range(2):
            assert (await alice.event())["event_id"] == receipt.event_id
            alice.reset()
            await lost(backend)
            alice = await backend.connect("alice")
            alice.never_pong()
        await eventually(lambda: clock() > emitted_at + 1.0)
        alice.reset()  # the user is awaited for another second, the event is not kept for that
        await lost(backend)
        last = await backend.connect("alice")
        await (await emit(backend)).outcome()
        assert receipt.event_id not in {event["event_id"] for event in last.received}


async def test_each_tab_that_comes_back_under_its_name_gets_what_it_missed_itself(quick: Backend) -> None:
    desktop, phone = await quick.connect("alice", "desktop"), await quick.connect("alice", "phone")
    phone.stop_reading()
    first = await emit(quick)
    assert (await first.outcome()).delivered  # on the desktop
    phone.reset()
    await eventually(lambda: quick.manager.get_user_connections("alice") == ["desktop"])
    second = await emit(quick)
    assert (await second.outcome()).delivered
    phone = await quick.connect("alice", "phone")
    await phone.event(1)
    ids = [first.event_id, second.event_id]
    assert [event["event_id"] for event in phone.received] == ids
    assert [event["event_id"] for event in desktop.received] == ids
    assert quick.manager.recorder.counters().delivered == 2


async def test_another_device_gets_a_copy_of_what_a_named_one_missed_and_leaves_it_to_that_one(quick: Backend) -> None:
    phone = await quick.connect("alice", "phone")
    phone.stop_reading()
    receipt = await emit(quick)
    await quick.written("alice")
    phone.reset()
    await lost(quick)
    desktop = await quick.connect("alice", "desktop")
    assert (await receipt.outcome()).delivered
    phone = await quick.connect("alice", "phone")
    assert (await phone.event())["event_id"] == (await desktop.event())["event_id"] == receipt.event_id


async def test_what_a_slow_reader_could_not_take_is_offered_to_its_next_connection() -> None:
    async with running_backend(delivery_timeout=0.4, max_timeouts=2, replay_window=5) as backend:
        slow = await backend.connect("alice")
        slow.never_pong()
        lost_ones = [await emit(backend) for _ in range(2)]
        await eventually(lambda: len(backend.recorder_statuses) == 2)
        waiting = await emit(backend)
        back = await backend.connect("alice")
        assert (await waiting.outcome()).delivered
        assert waiting.event_id in {event["event_id"] for event in back.received}
        assert {(await receipt.outcome()).status for receipt in lost_ones} == {DeliveryStatus.TIMEOUT}


async def test_the_oldest_give_way_when_too_many_events_wait_for_users() -> None:
    async with running_backend(max_parked=3, delivery_timeout=2.0) as backend:
        alice = await backend.connect("alice")
        alice.reset()
        await lost(backend)
        receipts = [await emit(backend) for _ in range(5)]
        assert backend.manager.parked == 3
        outcomes = [await receipt.outcome() for receipt in receipts[:2]]
        assert {outcome.status for outcome in outcomes} == {DeliveryStatus.NO_CONNECTION}
        back = await backend.connect("alice")
        await back.event(2)
        assert [event["event_id"] for event in back.received] == [receipt.event_id for receipt in receipts[2:]]


async def test_what_waits_for_users_is_settled_when_the_process_ends() -> None:
    async with running_backend() as backend:
        for user_id, leave in (("alice", True), ("bob", False)):
            peer = await backend.connect(user_id)
            peer.stop_reading()
            await emit(backend, user_id)
            await backend.written(user_id)
            if leave:
                peer.say_goodbye(1000)
            else:
                peer.reset()
            await lost(backend, user_id)
        assert await backend.manager.drain() == 0
        assert (backend.manager.parked, sorted(backend.recorder_statuses)) == (0, ["interrupted", "left"])


async def test_a_removed_connection_with_the_code_of_its_end_is_settled_by_that() -> None:
    async with running_backend(replay_window=0) as backend:
        for code, status in ((1001, DeliveryStatus.LEFT), (1006, DeliveryStatus.CLOSED)):
            peer = await backend.connect("alice")
            peer.never_pong()
            receipt = await emit(backend)
            await peer.event()
            await backend.manager.remove_connection(backend.manager.get_user_connections("alice")[0], code=code)
            assert (await receipt.outcome()).status is status
