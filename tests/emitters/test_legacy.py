from __future__ import annotations

from typing import Any

from controller.emitters import DeliveryStatus, LegacyBridgeEmitter, LegacyFactoryEmitter, UserExecutionContext
from controller.emitters.sanitise import sanitised
from tests.emitters.sockets import Backend

CONTEXT = UserExecutionContext("alice", "thread-1", run_id="run-1")


async def test_the_envelope_is_the_bridges_with_an_event_id_added(backend: Backend) -> None:
    alice = await backend.connect("alice")
    emitter = LegacyBridgeEmitter(backend.manager, CONTEXT)
    receipt = await emitter.notify_agent_thinking("run-1", "planner", "because", step_number=2, progress_percentage=50)
    outcome = await receipt.outcome()
    assert (outcome.status, outcome.variant, outcome.run_id) == (DeliveryStatus.CONFIRMED, "legacy", "run-1")
    event = await alice.event()
    assert event.pop("timestamp")
    assert event == {
        "type": "agent_thinking",
        "event_id": receipt.event_id,
        "run_id": "run-1",
        "user_id": "alice",
        "agent_name": "planner",
        "payload": {"reasoning": "because", "step_number": 2, "progress_percentage": 50},
    }


async def test_the_notifications_take_the_run_before_the_name(backend: Backend) -> None:
    alice = await backend.connect("alice")
    emitter = LegacyBridgeEmitter(backend.manager, CONTEXT)
    await emitter.notify_agent_started("run-1", "planner")
    await emitter.notify_tool_executing("run-1", "planner", "search", {"query": "q"})
    await emitter.notify_tool_completed("run-1", "planner", "search", result="found", execution_time_ms=3)
    await emitter.notify_agent_completed("run-1", "planner", result="42")
    await alice.event(3)
    assert [(event["type"], event["payload"]) for event in alice.received] == [
        ("agent_started", {"status": "started"}),
        ("tool_executing", {"tool_name": "search", "parameters": {"query": "q"}, "status": "executing"}),
        (
            "tool_completed",
            {"tool_name": "search", "result": "found", "execution_time_ms": 3, "status": "completed"},
        ),
        ("agent_completed", {"result": "42", "status": "completed"}),
    ]


async def test_the_canonical_emits_speak_the_bridges_words(backend: Backend) -> None:
    alice = await backend.connect("alice")
    emitter = LegacyBridgeEmitter(backend.manager, CONTEXT)
    await emitter.emit_agent_thinking({"agent_name": "planner", "thought": "hm", "user_id": "mallory"})
    await emitter.emit_tool_executing("search")
    await alice.event(1)
    assert [(event["agent_name"], event["payload"]) for event in alice.received] == [
        ("planner", {"reasoning": "hm"}),
        ("", {"tool_name": "search"}),
    ]
    assert {event["user_id"] for event in alice.received} == {"alice"}


async def test_a_run_id_that_is_not_the_contexts_is_refused(backend: Backend) -> None:
    await backend.connect("alice")
    receipt = await LegacyBridgeEmitter(backend.manager, CONTEXT).notify_agent_started("run-2", "planner")
    assert not receipt
    assert (await receipt.outcome()).status is DeliveryStatus.REJECTED


async def test_the_bridge_carries_a_trace_and_an_error_in_its_own_words(backend: Backend) -> None:
    alice = await backend.connect("alice")
    emitter = LegacyBridgeEmitter(backend.manager, CONTEXT)
    await emitter.notify_agent_started("run-1", "planner", {"topic": "t"}, trace_context={"span": "s"})
    await emitter.notify_agent_error("run-1", "planner", "it broke", error_context={"step": 2})
    await emitter.notify_progress_update("run-1", "planner", {"percentage": 50})
    await emitter.notify_custom("run-1", "planner", "chart", {"points": [1, 2], "metadata": {"kept": "as it is"}})
    await alice.event(3)
    assert alice.received[0]["trace"] == {"span": "s"}
    assert [(event["type"], event["agent_name"], event["payload"]) for event in alice.received] == [
        ("agent_started", "planner", {"status": "started", "context": {"topic": "t"}}),
        ("agent_error", "planner", {"error": "it broke", "status": "error", "error_context": {"step": 2}}),
        ("progress_update", "planner", {"percentage": 50, "status": "progress"}),
        ("chart", "planner", {"points": [1, 2], "metadata": {"kept": "as it is"}}),
    ]


async def test_the_factorys_envelope_is_its_own_and_names_no_user(backend: Backend) -> None:
    alice = await backend.connect("alice")
    emitter = LegacyFactoryEmitter(backend.manager, CONTEXT)
    receipt = await emitter.notify_agent_thinking("planner", "run-7", "because")
    outcome = await receipt.outcome()
    assert (outcome.status, outcome.variant, outcome.run_id) == (DeliveryStatus.CONFIRMED, "legacy", "run-7")
    event = await alice.event()
    assert event.pop("timestamp")
    assert event == {
        "event_type": "agent_thinking",
        "event_id": receipt.event_id,
        "thread_id": "thread-1",
        "data": {"thinking": "because", "agent_name": "planner", "run_id": "run-7"},
    }


async def test_the_factorys_notifications_take_the_name_before_the_run(backend: Backend) -> None:
    alice = await backend.connect("alice")
    emitter = LegacyFactoryEmitter(backend.manager, CONTEXT)
    await emitter.notify_agent_started("planner", "run-1")
    await emitter.notify_tool_executing("planner", "run-1", "search", {"query": "q", "api_key": "k"})
    await emitter.notify_tool_completed("planner", "run-1", "search", "found")
    await emitter.notify_agent_completed("planner", "run-1", "42")
    await emitter.notify_agent_error("planner", "run-1", "e" * 400)
    await alice.event(4)
    common = {"agent_name": "planner", "run_id": "run-1"}
    assert [(event["event_type"], event["data"]) for event in alice.received] == [
        ("agent_started", {**common, "status": "started"}),
        (
            "tool_executing",
            {**common, "tool_name": "search", "tool_input": {"query": "q", "api_key": "[REDACTED]"}}
            | {"status": "executing"},
        ),
        ("tool_completed", {**common, "tool_name": "search", "tool_output": "found", "status": "completed"}),
        ("agent_completed", {**common, "result": "42", "status": "completed"}),
        ("agent_error", {**common, "error": "e" * 300 + "...", "status": "error"}),
    ]


async def test_the_factorys_events_go_to_the_socket_of_the_context_while_it_is_open(backend: Backend) -> None:
    first, second = await backend.connect("alice", "socket-1"), await backend.connect("alice", "socket-2")
    context = UserExecutionContext("alice", "thread-1", connection_id="socket-1")
    emitter = LegacyFactoryEmitter(backend.manager, context)
    assert (await (await emitter.notify_agent_started("planner", "run-1")).outcome()).delivered
    assert (len(first.received), len(second.received)) == (1, 0)
    first.say_goodbye()
    await first.reader
    assert (await (await emitter.notify_agent_completed("planner", "run-1")).outcome()).delivered
    await second.event()


def test_secrets_are_redacted_by_name_and_long_texts_are_cut() -> None:
    assert sanitised({"api_key": "k", "nested": [{"Password": "p", "n": 1}], "text": "x" * 300, "ok": (1, None)}) == {
        "api_key": "[REDACTED]",
        "nested": [{"Password": "[REDACTED]", "n": 1}],
        "text": "x" * 200 + "...",
        "ok": [1, None],
    }
    assert len(sanitised({"result": "x" * 20_000})["result"]) == 10_003
    assert sanitised({"x" * 100 + "_Token": "t", "x" * 100: "y" * 300, 7: "z" * 300}) == {
        "x" * 100 + "_Token": "[REDACTED]",
        "x" * 100: "y" * 200 + "...",
        7: "z" * 200 + "...",
    }


def test_bottomless_data_is_cut_instead_of_exhausting_the_stack() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert "[dict]" in str(sanitised(endless))
