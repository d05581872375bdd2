from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from controller.emitters import (
    DeliveryAttempt,
    DeliveryStatus,
    EmitReceipt,
    OutcomeClass,
)
from tests.emitters.sockets import Backend, eventually, running_backend


async def emit(backend: Backend, user_id: str = "alice", /, **data: object) -> EmitReceipt:
    return await backend.manager.emit_critical_event(user_id, "agent_thinking", data, run_id="run-1")


async def test_a_peer_that_reads_confirms_without_any_code_of_its_own(backend: Backend) -> None:
    alice = await backend.connect("alice")
    receipt = await emit(backend, thought="hm")
    assert receipt
    outcome = await receipt.outcome()
    assert (outcome.status, outcome.delivered, outcome.run_id) == (DeliveryStatus.CONFIRMED, True, "run-1")
    assert outcome.latency_ms is not None
    event = await alice.event()
    assert (event["event_id"], event["data"]) == (receipt.event_id, {"thought": "hm"})


async def test_a_thousand_events_in_one_go_are_all_confirmed_in_order() -> None:
    async with running_backend(max_queue=1_000, max_inflight=100) as backend:
        alice = await backend.connect("alice")
        receipts = [await emit(backend, n=number) for number in range(1_000)]
        outcomes = await asyncio.gather(*(receipt.outcome() for receipt in receipts))
        assert {outcome.status for outcome in outcomes} == {DeliveryStatus.CONFIRMED}
        await alice.event(999)
        assert [event["data"]["n"] for event in alice.received] == list(range(1_000))


async def test_an_acknowledgement_of_the_application_counts_as_delivered(backend: Backend) -> None:
    alice = await backend.connect("alice")
    alice.never_pong()
    receipt = await emit(backend)
    await alice.send({"type": "ack", "event_id": (await alice.event())["event_id"]})
    assert (await receipt.outcome()).status is DeliveryStatus.ACKED


@pytest.mark.parametrize(
    ("reported", "status"), [("confirmed", DeliveryStatus.ACKED), ("failed", DeliveryStatus.REJECTED)]
)
async def test_the_older_confirmation_message_is_understood_both_ways(
    backend: Backend, reported: str, status: DeliveryStatus
) -> None:
    alice = await backend.connect("alice")
    alice.never_pong()
    receipt = await emit(backend)
    event = await alice.event()
    await alice.send({"type": "confirmation", "event_id": event["event_id"], "status": reported})
    assert (await receipt.outcome()).status is status


async def test_repeated_and_unknown_acknowledgements_change_nothing_and_are_counted(backend: Backend) -> None:
    alice = await backend.connect("alice")
    alice.never_pong()
    receipt = await emit(backend)
    event_id = (await alice.event())["event_id"]
    for ack in (event_id, event_id, "never-sent"):
        await alice.send({"type": "ack", "event_id": ack})
    await eventually(lambda: backend.manager.get_connection_health("alice").ignored_acks == 2)
    assert (await receipt.outcome()).delivered
    counters = backend.manager.recorder.counters()
    assert (counters.attempted, counters.total, counters.delivered) == (1, 1, 1)


async def test_nobody_can_acknowledge_for_somebody_else(backend: Backend) -> None:
    alice, mallory = await backend.connect("alice"), await backend.connect("mallory")
    alice.never_pong()
    await emit(backend)
    await mallory.send({"type": "ack", "event_id": (await alice.event())["event_id"]})
    await eventually(lambda: backend.manager.get_connection_health("mallory").ignored_acks == 1)
    assert backend.manager.recorder.pending == 1


@pytest.mark.parametrize(
    "message", ["", "{", "[]", "7", '{"type": "ack"}', '{"type": "ack", "event_id": 7}', "x" * 2_000]
)
async def test_a_message_that_is_no_acknowledgement_does_no_harm(backend: Backend, message: str) -> None:
    alice = await backend.connect("alice")
    await alice.send(message)
    receipt = await emit(backend)
    assert (await receipt.outcome()).delivered


@pytest.fixture
async def forgetful() -> AsyncIterator[Backend]:
    """A back end that replays nothing, so that the end of a connection is the end of its events."""
    async with running_backend(replay_window=0) as backend:
        yield backend


async def test_a_write_is_not_a_delivery_when_the_peer_resets_right_after_it(forgetful: Backend) -> None:
    backend = forgetful
    alice = await backend.connect("alice")
    alice.stop_reading()
    receipts = [await emit(backend) for _ in range(100)]
    await backend.written("alice", 100)
    alice.reset()
    outcomes = await asyncio.gather(*(receipt.outcome() for receipt in receipts))
    assert {(outcome.status, outcome.outcome_class) for outcome in outcomes} == {
        (DeliveryStatus.CLOSED, OutcomeClass.FAILED)
    }
    await eventually(lambda: not backend.manager.is_connection_active("alice"))


@pytest.mark.parametrize("code", [1000, 1001, None])
async def test_a_user_who_closes_cleanly_before_the_confirmation_has_left(forgetful: Backend, code: int | None) -> None:
    backend = forgetful
    alice = await backend.connect("alice")
    alice.stop_reading()
    receipt = await emit(backend)
    await backend.written("alice")
    alice.say_goodbye(code)
    outcome = await receipt.outcome()
    assert (outcome.status, outcome.outcome_class) == (DeliveryStatus.LEFT, OutcomeClass.ABANDONED)


async def test_a_close_with_an_error_code_is_a_failure(forgetful: Backend) -> None:
    backend = forgetful
    alice = await backend.connect("alice")
    alice.stop_reading()
    receipt = await emit(backend)
    await backend.written("alice")
    alice.say_goodbye(1011)
    assert (await receipt.outcome()).status is DeliveryStatus.CLOSED


async def test_an_event_for_somebody_who_is_not_there_is_abandoned_and_the_receipt_is_false(backend: Backend) -> None:
    receipt = await emit(backend, "nobody-here")
    assert not receipt
    outcome = await receipt.outcome()
    assert (outcome.status, outcome.outcome_class) == (DeliveryStatus.NO_CONNECTION, OutcomeClass.ABANDONED)


async def test_a_peer_that_stays_silent_times_out_and_is_told_to_try_again_later() -> None:
    async with running_backend(delivery_timeout=0.1, max_timeouts=3) as backend:
        alice = await backend.connect("alice")
        alice.never_pong()
        receipts = [await emit(backend) for _ in range(3)]
        outcomes = [await receipt.outcome() for receipt in receipts]
        assert {outcome.status for outcome in outcomes} == {DeliveryStatus.TIMEOUT}
        await alice.reader
        assert alice.connection.close_code == 1013


async def test_one_confirmation_forgives_the_timeouts_before_it() -> None:
    async with running_backend(delivery_timeout=0.1, max_timeouts=2) as backend:
        alice = await backend.connect("alice")
        alice.never_pong()
        await (await emit(backend)).outcome()
        assert backend.manager.get_connection_health("alice").timeouts_in_a_row == 1
        receipt = await emit(backend)
        await alice.send({"type": "ack", "event_id": (await alice.event(1))["event_id"]})
        await receipt.outcome()
        assert backend.manager.get_connection_health("alice").timeouts_in_a_row == 0


async def test_a_late_proof_does_not_undo_a_timeout() -> None:
    async with running_backend(delivery_timeout=0.1) as backend:
        alice = await backend.connect("alice")
        alice.stop_reading()
        receipt = await emit(backend)
        assert (await receipt.outcome()).status is DeliveryStatus.TIMEOUT
        alice.read_on()
        assert (await (await emit(backend)).outcome()).delivered
        counters = backend.manager.recorder.counters()
        assert (counters.attempted, counters.failed, counters.delivered) == (2, 1, 1)


async def test_a_reader_that_stops_fills_the_queue_and_overflow_is_known_at_once() -> None:
    async with running_backend(max_queue=4, delivery_timeout=0.3, max_timeouts=1) as backend:
        alice = await backend.connect("alice")
        alice.stop_reading()
        receipts = []
        while not receipts or receipts[-1]:
            receipts.append(await emit(backend, blob="x" * 500_000))
            await asyncio.sleep(0)
        overflow = await receipts[-1].outcome()
        assert (overflow.status, overflow.outcome_class) == (DeliveryStatus.OVERFLOW, OutcomeClass.FAILED)
        outcomes = [await receipt.outcome() for receipt in receipts]
        assert {outcome.outcome_class for outcome in outcomes} == {OutcomeClass.FAILED}
        # Its close frame waits behind a full buffer, so the transport is cut: the server has no socket left.
        await eventually(lambda: not backend.server.connections)


async def test_the_writer_waits_while_too_much_is_unconfirmed() -> None:
    async with running_backend(max_queue=4, max_inflight=2) as backend:
        alice = await backend.connect("alice")
        alice.never_pong()
        receipts = [await emit(backend) for _ in range(2)]
        await backend.written("alice", 2)
        receipts += [await emit(backend) for _ in range(4)]
        assert not await emit(backend)
        health = backend.manager.get_connection_health("alice")
        assert (health.in_flight, health.queued) == (2, 4)
        for position in range(6):
            await alice.send({"type": "ack", "event_id": (await alice.event(position))["event_id"]})
        assert all([(await receipt.outcome()).delivered for receipt in receipts])


async def test_an_event_is_delivered_when_any_of_the_users_connections_confirms(backend: Backend) -> None:
    desktop, phone = await backend.connect("alice"), await backend.connect("alice")
    desktop.never_pong()
    receipt = await emit(backend)
    assert (await receipt.outcome()).delivered
    desktop.reset()
    await eventually(lambda: len(backend.manager.get_user_connections("alice")) == 1)
    assert (await desktop.event())["event_id"] == (await phone.event())["event_id"]
    assert backend.manager.recorder.counters().total == 1


async def test_an_event_has_failed_when_all_of_the_users_connections_have(forgetful: Backend) -> None:
    backend = forgetful
    peers = [await backend.connect("alice"), await backend.connect("alice")]
    for peer in peers:
        peer.never_pong()
    receipt = await emit(backend)
    await backend.written("alice", 2)
    peers[0].reset()
    await eventually(lambda: len(backend.manager.get_user_connections("alice")) == 1)
    assert backend.manager.recorder.pending == 1
    peers[1].reset()
    assert (await receipt.outcome()).status is DeliveryStatus.CLOSED


async def test_a_user_id_in_the_payload_routes_nothing(backend: Backend) -> None:
    alice, mallory = await backend.connect("alice"), await backend.connect("mallory")
    await emit(backend, user_id="mallory", target_user_id="mallory", secret="alice's")
    await emit(backend, "mallory", mine=True)
    assert (await mallory.event())["data"] == {"mine": True}
    assert (await alice.event())["data"]["secret"] == "alice's"
    await backend.manager.recorder.all_settled()
    assert (len(alice.received), len(mallory.received)) == (1, 1)


async def test_what_is_in_flight_when_the_manager_closes_is_interrupted(backend: Backend) -> None:
    alice = await backend.connect("alice")
    alice.stop_reading()
    receipts = [await emit(backend) for _ in range(5)]
    await backend.written("alice", 5)
    await backend.manager.aclose()
    outcomes = [await receipt.outcome() for receipt in receipts]
    assert {outcome.outcome_class for outcome in outcomes} == {OutcomeClass.INTERRUPTED}
    refused = await emit(backend)
    assert not refused
    assert (await refused.outcome()).status is DeliveryStatus.INTERRUPTED


async def test_what_is_in_flight_when_the_server_stops_first_is_interrupted_too(backend: Backend) -> None:
    alice = await backend.connect("alice")
    alice.stop_reading()
    in_flight = await emit(backend)
    await backend.written("alice")
    backend.server.close()
    await eventually(lambda: not backend.manager.is_connection_active("alice"))
    refused = await emit(backend)
    assert (await in_flight.outcome()).status is DeliveryStatus.INTERRUPTED
    assert (await refused.outcome()).outcome_class in {OutcomeClass.INTERRUPTED, OutcomeClass.ABANDONED}


async def test_draining_waits_for_what_can_still_be_delivered(backend: Backend) -> None:
    await backend.connect("alice")
    receipt = await emit(backend)
    assert await backend.manager.drain() == 0
    assert (await receipt.outcome()).delivered


async def test_draining_interrupts_what_is_left_after_its_time_even_what_no_emitter_handed_over(
    backend: Backend,
) -> None:
    alice = await backend.connect("alice")
    alice.never_pong()
    await emit(backend)
    backend.manager.recorder.attempt(DeliveryAttempt("lost", "agent_started", "alice", None, None, "unified"))
    assert await backend.manager.drain(0.01) == 2
    assert backend.recorder_statuses == [DeliveryStatus.INTERRUPTED] * 2


async def test_data_without_a_json_form_is_an_error_outcome_and_not_an_exception(backend: Backend) -> None:
    await backend.connect("alice")
    receipt = await emit(backend, thing=object())
    assert not receipt
    assert (await receipt.outcome()).status is DeliveryStatus.ERROR


async def test_an_attempt_that_nobody_settles_is_charged_even_when_nobody_is_connected() -> None:
    async with running_backend(delivery_timeout=0.05) as backend:
        manager = backend.manager
        opened = manager.recorder.attempt(DeliveryAttempt("e1", "agent_started", "alice", None, None, "unified"))
        manager.ensure_sweeping()
        assert (await opened.settled()).status is DeliveryStatus.TIMEOUT
