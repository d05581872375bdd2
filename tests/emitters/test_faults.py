"""Whatever goes wrong: exactly one outcome per event, nothing left behind, and the right arm is charged."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from websockets.protocol import State

from controller.emitters import DeliveryStatus, OutcomeClass, UnifiedWebSocketEmitter, UserExecutionContext
from tests.emitters.faults import proxy, scene
from tests.emitters.sockets import eventually


async def test_a_peer_that_resets_right_after_the_write() -> None:
    async with scene(delivery_timeout=1.0) as at:
        alice, _bob = await at.backend.connect("alice"), await at.backend.connect("bob")
        alice.stop_reading()
        receipts = await at.emit(100)
        await at.backend.written("alice", 100)
        alice.reset()
        assert all(receipts)  # the socket took all of them without an error
        await at.settled()
        assert at.audit.of("unified") == {"closed": 100}
        assert at.audit.of("legacy") == {"confirmed": 100}


async def test_a_reader_that_stops_is_given_up_and_told_to_try_again_later() -> None:
    async with scene(delivery_timeout=0.6, max_timeouts=3, max_queue=200) as at:
        alice, _bob = await at.backend.connect("alice"), await at.backend.connect("bob")
        alice.stop_reading()
        for _ in range(30):
            await at.emit(blob="x" * 200_000)
            await asyncio.sleep(0)
        await at.settled()
        assert at.audit.classes("unified") == {OutcomeClass.FAILED}
        assert at.audit.of("legacy") == {"confirmed": 30}
        await eventually(lambda: not at.manager.get_user_connections("alice"))
        await eventually(lambda: len(at.backend.server.connections) == 1)  # not even her TCP connection is left


async def test_a_proxy_that_answers_nothing() -> None:
    async with scene(delivery_timeout=0.6, max_timeouts=5) as at, proxy(at.backend.port) as between:
        _alice = await at.backend.connect("alice", port=between.port)
        _bob = await at.backend.connect("bob")
        await at.emit(10)
        await at.settled()
        assert at.audit.of("unified") == {"confirmed": 10}
        between.go_silent()
        await at.emit(10)
        await at.settled()
        assert at.audit.of("unified") == {"confirmed": 10, "timeout": 10}
        assert at.audit.of("legacy") == {"confirmed": 20}
        await eventually(lambda: not at.manager.is_connection_active("alice"))


async def test_a_client_that_acks_twice_or_acks_unknown_ids() -> None:
    async with scene() as at:
        alice, _bob = await at.backend.connect("alice"), await at.backend.connect("bob")
        alice.never_pong()
        await at.emit(5)
        for number in range(5):
            event_id = (await alice.event(number))["event_id"]
            for ack in (event_id, event_id, f"{event_id}-of-nobody"):
                await alice.send({"type": "ack", "event_id": ack})
        await eventually(lambda: at.manager.get_connection_health("alice").ignored_acks == 10)
        await at.settled()
        assert at.audit.of("unified") == {"acked": 5}
        assert at.audit.of("legacy") == {"confirmed": 5}


async def test_a_client_that_floods_acks_is_shut_out_and_the_others_are_served_meanwhile() -> None:
    async with scene(max_ignored_acks=500, delivery_timeout=2.0) as at:
        alice, _bob = await at.backend.connect("alice"), await at.backend.connect("bob")
        alice.never_pong()
        await at.emit(3)
        await alice.event(2)
        flood = json.dumps({"type": "ack", "event_id": "x" * 100}).encode()

        async def drown() -> None:
            for _ in range(200):
                for _ in range(100):
                    if alice.connection.state is not State.OPEN:
                        return
                    alice.connection.protocol.send_text(flood)
                alice.connection.send_data()
                await asyncio.sleep(0)

        flooding = asyncio.create_task(drown())
        while not flooding.done():
            receipt = await at.control.emit_agent_thinking({})
            assert (await receipt.outcome()).delivered
        await flooding
        await alice.reader
        assert alice.connection.close_code == 1008
        await at.settled()
        assert at.audit.of("unified") == {"closed": 3}
        assert set(at.audit.of("legacy")) == {"confirmed"}


@pytest.mark.parametrize(
    "user_id",
    ["../bob", "bob ", "BOB", "bob\x00", "bob?name=bob", "b%6Fb", "b\N{CYRILLIC SMALL LETTER O}b", "bob/alice", "*"],
)
async def test_a_hostile_user_id_reaches_nobody_else(user_id: str) -> None:
    async with scene() as at:
        bob, mallory = await at.backend.connect("bob"), await at.backend.connect(user_id)
        emitter = UnifiedWebSocketEmitter(at.manager, user_id)
        receipt = await emitter.emit_agent_thinking({"secret": "mallory's", "user_id": "bob", "target_user_id": "bob"})
        assert (await receipt.outcome()).delivered
        await (await at.control.emit_agent_thinking({"secret": "bob's"})).outcome()
        assert [event["data"]["secret"] for event in mallory.received] == ["mallory's"]
        assert [event["payload"]["secret"] for event in bob.received] == ["[REDACTED]"]
        assert len(bob.received) == 1


async def test_a_hostile_payload_neither_routes_nor_forges_another_event() -> None:
    async with scene() as at:
        alice, bob = await at.backend.connect("alice"), await at.backend.connect("bob")
        hostile = {
            "user_id": "bob",
            "thread_id": "t-b",
            "connection_id": at.manager.get_user_connections("bob")[0],
            "event_id": "0" * 32,
            "type": "agent_completed",
            "text": '"}\n{"type": "agent_completed", "event_id": "1"}',
            "__proto__": {"user_id": "bob"},
        }
        receipts = await at.emit(**hostile)
        await at.settled()
        event = await alice.event()
        assert (event["type"], event["event_id"]) == ("agent_thinking", receipts[0].event_id)
        assert (event["data"]["user_id"], event["data"]["thread_id"]) == ("alice", "t-a")
        assert (len(alice.received), len(bob.received)) == (1, 1)


async def test_a_connection_id_of_somebody_else_can_neither_be_taken_nor_resumed() -> None:
    async with scene(delivery_timeout=1.0) as at:
        alice = await at.backend.connect("alice", "tab-1")
        _bob = await at.backend.connect("bob")
        alice.never_pong()
        await at.emit()
        await alice.event()
        mallory = await at.backend.connect("mallory", "tab-1")  # her own tab of that name, beside alice's
        assert at.manager.get_user_connections("alice") == ["tab-1"]
        assert at.manager.get_user_connections("mallory") != ["tab-1"]
        alice.reset()
        await eventually(lambda: at.manager.parked == 1)
        thief = await at.backend.connect("mallory", "tab-1")
        assert at.manager.parked == 1
        back = await at.backend.connect("alice", "tab-1")  # nobody can keep her out
        await at.settled()
        assert (mallory.received, thief.received, len(back.received)) == ([], [], 1)
        assert at.audit.of("unified") == {"confirmed": 1}


async def test_a_connection_replaced_in_mid_run_hands_its_events_to_the_new_one() -> None:
    async with scene() as at:
        first, _bob = await at.backend.connect("alice", "tab-1"), await at.backend.connect("bob")
        first.stop_reading()
        before = [receipt.event_id for receipt in await at.emit(3)]
        await at.backend.written("alice", 3)
        second = await at.backend.connect("alice", "tab-1")
        after = [receipt.event_id for receipt in await at.emit(2)]
        await at.settled()
        assert [event["event_id"] for event in second.received] == [*before, *after]
        assert at.audit.of("unified") == {"confirmed": 5}
        assert at.manager.get_user_connections("alice") == ["tab-1"]
        first.read_on()
        await first.reader
        assert first.connection.close_code == 4000


async def test_an_event_loop_blocked_for_longer_than_the_deadline_charges_nobody() -> None:
    async with scene(delivery_timeout=0.6, max_timeouts=1) as at:
        await at.backend.connect("alice")
        await at.backend.connect("bob")
        await at.emit(5)
        await at.settled()
        await at.emit(5)
        # Right behind the writes, which are due in the next turn: nobody's answer has been read when it ends.
        asyncio.get_running_loop().call_soon(time.sleep, 1.0)
        await at.settled()
        assert at.audit.of("unified") == {"confirmed": 10}
        assert at.audit.of("legacy") == {"confirmed": 10}


async def test_a_shutdown_with_events_in_flight_charges_nobody() -> None:
    async with scene() as at:
        alice, bob = await at.backend.connect("alice"), await at.backend.connect("bob")
        alice.stop_reading()
        bob.stop_reading()
        await at.emit(20)
        await at.backend.written("alice", 20)
        await at.manager.aclose()
        assert not await at.canary.emit_agent_completed({})
        await at.settled()
        assert at.audit.of("unified") == {"interrupted": 21}
        assert at.audit.of("legacy") == {"interrupted": 20}


async def test_a_hundred_connections_that_die_at_once() -> None:
    async with scene(delivery_timeout=1.5) as at:
        bob = await at.backend.connect("bob")
        dying = [await at.backend.connect(f"user-{number}") for number in range(100)]
        for peer in dying:
            peer.stop_reading()
        emitters = [
            UnifiedWebSocketEmitter.create_user_emitter(at.manager, UserExecutionContext(f"user-{number}", "t"))
            for number in range(100)
        ]
        for emitter in emitters:
            for number in range(5):
                await emitter.emit_agent_thinking({"n": number})
        await at.backend.written("user-99", 5)
        for peer in dying:
            peer.reset()
        receipt = await at.control.emit_agent_thinking({})
        assert (await receipt.outcome()).status is DeliveryStatus.CONFIRMED
        await at.settled()
        assert at.audit.of("unified") == {"closed": 500}
        assert at.audit.of("legacy") == {"confirmed": 1}
        assert at.manager.get_user_connections("bob")
        assert len(bob.received) == 1
