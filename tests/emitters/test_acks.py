"""Acknowledgements: the stronger proof where clients give it, and never a way to do harm."""

from __future__ import annotations

import asyncio

import pytest

from controller.emitters import DeliveryStatus, EmitReceipt
from controller.emitters.acks import ACK_WAIT_S, AckAccount, read_ack
from tests.emitters.sockets import Backend, Client, eventually, running_backend


async def emit(backend: Backend) -> EmitReceipt:
    return await backend.manager.emit_critical_event("alice", "agent_thinking", {})


async def acking(backend: Backend) -> Client:
    """A client that is known to acknowledge."""
    alice = await backend.connect("alice")
    alice.never_pong()
    alice.acknowledge()
    assert (await (await emit(backend)).outcome()).status is DeliveryStatus.ACKED
    alice.pong_again()
    return alice


async def test_of_a_client_that_acknowledges_the_acknowledgement_counts_although_the_pong_comes_first(
    backend: Backend,
) -> None:
    await acking(backend)
    outcomes = [await (await emit(backend)).outcome() for _ in range(5)]
    assert {outcome.status for outcome in outcomes} == {DeliveryStatus.ACKED}
    counters = backend.manager.recorder.counters()
    assert (counters.delivered, counters.acked) == (6, 6)


async def test_one_that_reads_and_does_not_acknowledge_any_more_has_still_read(backend: Backend) -> None:
    alice = await acking(backend)
    alice.acknowledges = False
    clock = backend.manager.recorder.clock
    began = clock()
    outcome = await (await emit(backend)).outcome()
    assert outcome.status is DeliveryStatus.CONFIRMED
    # It is settled only after the wait for an acknowledgement; its latency is that of the proof.
    assert outcome.latency_ms is not None
    assert outcome.latency_ms / 1000 <= clock() - began - ACK_WAIT_S
    counters = backend.manager.recorder.counters()
    assert (counters.delivered, counters.acked) == (2, 1)


async def test_what_was_read_is_delivered_even_when_the_connection_breaks_before_the_acknowledgement(
    backend: Backend,
) -> None:
    alice = await acking(backend)
    alice.acknowledges = False
    receipt = await emit(backend)
    await alice.event(1)
    await eventually(lambda: not backend.manager.get_connection_health("alice").in_flight)
    alice.reset()
    assert (await receipt.outcome()).status is DeliveryStatus.CONFIRMED


async def test_acknowledgements_that_come_after_the_pong_decided_are_no_noise(backend: Backend) -> None:
    alice = await backend.connect("alice")
    receipts = [await emit(backend) for _ in range(3)]
    assert {(await receipt.outcome()).status for receipt in receipts} == {DeliveryStatus.CONFIRMED}
    await alice.event(2)
    alice.acknowledge()
    await alice.send({"type": "ack", "event_id": "of-nobody"})
    await eventually(lambda: backend.manager.get_connection_health("alice").ignored_acks == 1)


async def test_a_negative_confirmation_is_a_rejection(backend: Backend) -> None:
    alice = await acking(backend)
    alice.acknowledges = False
    receipt = await emit(backend)
    event = await alice.event(1)
    await alice.send({"type": "confirmation", "event_id": event["event_id"], "status": "failed"})
    assert (await receipt.outcome()).status is DeliveryStatus.REJECTED


async def test_the_memory_for_unacknowledged_events_is_bounded() -> None:
    async with running_backend(max_inflight=4, max_queue=50) as backend:
        alice = await acking(backend)
        alice.acknowledges = False
        receipts = [await emit(backend) for _ in range(20)]
        async with asyncio.timeout(5):
            # Beyond the bound the pong decides at once, so that nothing has to wait for the wait.
            for receipt in receipts[4:]:
                assert (await receipt.outcome()).status is DeliveryStatus.CONFIRMED
        await backend.manager.recorder.all_settled()


@pytest.mark.parametrize(
    "message",
    [
        b"\xff\xfe",
        '{"type": "ack", "event_id": null}',
        '{"type": "ack", "event_id": ["a"]}',
        '{"type": "chat", "event_id": "a"}',
        '{"event_id": "a"}',
        "[" * 1_000,
        '{"type": "ack", "event_id": "' + "a" * 2_000 + '"}',
    ],
)
def test_what_is_no_acknowledgement_is_not_taken_for_one(message: str | bytes) -> None:
    assert read_ack(message) is None


def test_only_as_many_needless_acknowledgements_are_forgiven_as_events_were_settled_without() -> None:
    account = AckAccount()
    account.to_come()
    account.needless()
    assert (account.ignored, account.in_a_row) == (0, 0)
    account.needless()
    account.needless()
    assert (account.ignored, account.in_a_row) == (2, 2)
    account.useful()
    assert (account.ignored, account.in_a_row) == (2, 0)
