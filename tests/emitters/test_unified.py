from __future__ import annotations

import pytest

from controller.emitters import (
    CRITICAL_EVENTS,
    DeliveryStatus,
    UnifiedWebSocketEmitter,
    UnifiedWebSocketManager,
    UserExecutionContext,
)
from tests.emitters.sockets import Backend

CONTEXT = UserExecutionContext("alice", "thread-1", run_id="run-1", request_id="request-1")


@pytest.mark.parametrize("event_type", CRITICAL_EVENTS)
async def test_each_critical_event_has_an_emit_that_delivers_it(backend: Backend, event_type: str) -> None:
    alice = await backend.connect("alice")
    emitter = UnifiedWebSocketEmitter(backend.manager, "alice", CONTEXT)
    receipt = await getattr(emitter, f"emit_{event_type}")({"agent_name": "planner"})
    assert receipt
    outcome = await receipt.outcome()
    assert (outcome.status, outcome.variant, outcome.run_id) == (DeliveryStatus.CONFIRMED, "unified", "run-1")
    assert (await alice.event())["type"] == event_type


async def test_the_ids_of_the_context_override_those_in_the_data_and_nothings_are_dropped(backend: Backend) -> None:
    alice, mallory = await backend.connect("alice"), await backend.connect("mallory")
    emitter = UnifiedWebSocketEmitter(backend.manager, "alice", CONTEXT)
    await (await emitter.emit("custom_event", {"user_id": "mallory", "run_id": "x", "note": None, "n": 1})).outcome()
    event = await alice.event()
    assert event["data"] == {
        "user_id": "alice",
        "run_id": "run-1",
        "thread_id": "thread-1",
        "request_id": "request-1",
        "n": 1,
    }
    assert (event["critical"], event["attempt"]) == (False, None)
    assert mallory.received == []


async def test_without_a_context_events_are_delivered_without_run_ids(backend: Backend) -> None:
    alice = await backend.connect("alice")
    receipt = await UnifiedWebSocketEmitter(backend.manager, "alice").emit_agent_started({"agent_name": "planner"})
    assert (await receipt.outcome()).run_id is None
    assert (await alice.event())["data"] == {"agent_name": "planner", "user_id": "alice"}


async def test_a_bare_name_may_come_before_the_data(backend: Backend) -> None:
    alice = await backend.connect("alice")
    emitter = UnifiedWebSocketEmitter(backend.manager, "alice")
    await emitter.emit_agent_started("planner", {"step": 1})
    await emitter.emit_tool_executing("search")
    assert (await alice.event())["data"] == {"agent_name": "planner", "step": 1, "user_id": "alice"}
    assert (await alice.event(1))["data"] == {"tool": "search", "user_id": "alice"}


async def test_the_notifications_build_the_payloads_that_clients_know(backend: Backend) -> None:
    alice = await backend.connect("alice")
    emitter = UnifiedWebSocketEmitter.create_user_emitter(backend.manager, CONTEXT)
    await emitter.notify_agent_started("planner", {"model": "m"}, {"topic": "t"})
    await emitter.notify_agent_thinking("planner", reasoning="because", step_number=2)
    await emitter.notify_tool_executing("search", {"query": "q"})
    await emitter.notify_tool_completed("search")
    await emitter.notify_agent_completed("planner", result="42", execution_time_ms=12.5)
    await alice.event(4)
    ids = {"user_id", "run_id", "thread_id", "request_id", "timestamp"}
    said = [{key: value for key, value in event["data"].items() if key not in ids} for event in alice.received]
    assert said == [
        {"agent_name": "planner", "metadata": {"model": "m", "context": {"topic": "t"}}, "status": "started"},
        {"thought": "because", "metadata": {"agent_name": "planner", "step_number": 2}, "type": "reasoning"},
        {"tool": "search", "metadata": {"query": "q"}, "status": "executing"},
        {"tool": "search", "metadata": {}, "status": "completed"},
        {"agent_name": "planner", "metadata": {"result": "42", "execution_time_ms": 12.5}, "status": "completed"},
    ]


def test_it_can_be_made_without_a_running_loop_and_keeps_its_mode() -> None:
    emitter = UnifiedWebSocketEmitter.create_user_emitter(UnifiedWebSocketManager(), CONTEXT, performance_mode=True)
    assert (emitter.user_id, emitter.context, emitter.performance_mode) == ("alice", CONTEXT, True)


def test_a_user_who_contradicts_the_context_is_refused() -> None:
    with pytest.raises(ValueError, match="contradicts"):
        UnifiedWebSocketEmitter(UnifiedWebSocketManager(), "mallory", CONTEXT)
    with pytest.raises(ValueError, match="user_id"):
        UnifiedWebSocketEmitter(UnifiedWebSocketManager(), " ")
