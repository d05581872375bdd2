"""The seven interface tests, each on real objects; the last two on real sockets."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from controller.emitters import (
    CRITICAL_EVENTS,
    AgentWebSocketBridge,
    AuthenticationWebSocketEmitter,
    DeliveryStatus,
    SSotMockFactory,
    UnifiedWebSocketEmitter,
    UnifiedWebSocketManager,
    UserExecutionContext,
    UserWebSocketEmitter,
    WebSocketBridgeFactory,
    WebSocketEmitterClass,
    WebSocketEmitterFactory,
    WebSocketEventEmitter,
    validate_websocket_interfaces,
)
from tests.emitters.sockets import Backend

CONTEXT = SSotMockFactory.create_isolated_execution_context("alice", "thread-1")
UNIFIED_SIGNATURE = ["user_context", "user_id", "thread_id", "connection_id"]


def factories(manager: UnifiedWebSocketManager) -> list[WebSocketBridgeFactory | AgentWebSocketBridge]:
    return [WebSocketBridgeFactory(manager=manager), AgentWebSocketBridge(manager=manager)]


def test_method_name_consistency_across_implementations() -> None:
    for implementation in (UnifiedWebSocketEmitter, WebSocketBridgeFactory(), AgentWebSocketBridge()):
        for method in ("create_user_emitter", "create_auth_emitter"):
            assert callable(getattr(implementation, method)), (implementation, method)
    for event_type in CRITICAL_EVENTS:
        assert inspect.iscoroutinefunction(getattr(UnifiedWebSocketEmitter, f"emit_{event_type}"))
        assert inspect.iscoroutinefunction(getattr(UnifiedWebSocketEmitter, f"notify_{event_type}"))


def test_parameter_signature_consistency() -> None:
    first, second = (inspect.signature(factory.create_user_emitter) for factory in factories(UnifiedWebSocketManager()))
    assert first == second
    assert [(parameter.name, parameter.default) for parameter in first.parameters.values()] == [
        (name, None) for name in UNIFIED_SIGNATURE
    ]
    of_class = inspect.signature(UnifiedWebSocketEmitter.create_user_emitter)
    positional = [name for name, found in of_class.parameters.items() if found.kind is found.POSITIONAL_OR_KEYWORD]
    assert positional == ["manager", "user_context"]
    constructor = inspect.signature(UnifiedWebSocketEmitter)
    assert [(name, found.default) for name, found in constructor.parameters.items()] == [
        ("manager", inspect.Parameter.empty),
        ("user_id", inspect.Parameter.empty),
        ("context", None),
        ("performance_mode", False),
    ]
    for factory in factories(UnifiedWebSocketManager()):  # every legal call binds
        signature = inspect.signature(factory.create_user_emitter)
        signature.bind(CONTEXT)
        signature.bind(user_context=CONTEXT)
        signature.bind(user_id="alice", thread_id="thread-1")
        signature.bind("alice", "thread-1", "socket-1")


async def test_factory_method_compatibility() -> None:
    manager = UnifiedWebSocketManager()
    made = [UnifiedWebSocketEmitter.create_user_emitter(manager, CONTEXT)]
    for factory in factories(manager):
        made.append(await factory.create_user_emitter(CONTEXT))
        made.append(await factory.create_user_emitter(user_id="alice", thread_id="thread-1"))
        made.append(await factory.create_user_emitter("alice", "thread-1", "socket-1"))  # type: ignore[arg-type]
        assert isinstance(await factory.create_auth_emitter("alice", CONTEXT), AuthenticationWebSocketEmitter)
    assert UserWebSocketEmitter is WebSocketEventEmitter is UnifiedWebSocketEmitter
    assert all(isinstance(emitter, UserWebSocketEmitter) for emitter in made)
    assert {(emitter.user_id, emitter.manager) for emitter in made} == {("alice", manager)}
    for factory in factories(manager):
        with pytest.raises(ValueError, match=r"^Either user_context or \(user_id \+ thread_id\) required$"):
            await factory.create_user_emitter()


async def test_websocket_test_framework_interface_consistency() -> None:
    context = SSotMockFactory.create_isolated_execution_context(
        user_id="alice", thread_id="thread-1", websocket_client_id="socket-7", run_id="run-1"
    )
    assert isinstance(context, UserExecutionContext)
    assert (context.connection_id, context.websocket_client_id, context.run_id) == ("socket-7", "socket-7", "run-1")
    both = SSotMockFactory.create_isolated_execution_context("alice", "t", "older-name", "explicit-name")
    assert both.connection_id == "explicit-name"
    neither = SSotMockFactory.create_isolated_execution_context("alice", "thread-1")
    assert neither.connection_id == "conn_alice_thread-1"
    emitter = await WebSocketBridgeFactory(manager=UnifiedWebSocketManager()).create_user_emitter(context)
    assert emitter.context is context


def test_ssot_compliance_across_websocket_implementations() -> None:
    reports = validate_websocket_interfaces()
    assert list(reports) == ["UnifiedWebSocketEmitter", "WebSocketBridgeFactory", "AgentWebSocketBridge"]
    for name, report in reports.items():
        assert report == {
            "has_create_user_emitter": True,
            "has_create_auth_emitter": True,
            "signature_compatible": True,
            "protocol_compliant": True,
            "mismatches": [],
        }, name
    assert isinstance(UnifiedWebSocketEmitter, WebSocketEmitterClass)
    assert isinstance(WebSocketBridgeFactory(), WebSocketEmitterFactory)
    assert isinstance(AgentWebSocketBridge(), WebSocketEmitterFactory)


async def test_agent_websocket_bridge_to_factory_integration(backend: Backend) -> None:
    alice, bob = await backend.connect("alice"), await backend.connect("bob")
    factory, bridge = factories(backend.manager)
    by_factory = await factory.create_user_emitter("alice", "thread-1", "socket-1")  # type: ignore[arg-type]
    by_bridge = await bridge.create_user_emitter(by_factory.context)  # the one continues what the other began
    assert isinstance(by_bridge, type(by_factory))
    receipts = [
        await by_factory.emit_agent_started({"agent_name": "planner"}),
        await by_bridge.emit_agent_completed({"agent_name": "planner"}),
    ]
    assert [(await receipt.outcome()).delivered for receipt in receipts] == [True, True]
    started, completed = await alice.event(0), await alice.event(1)
    assert started["data"]["run_id"] == completed["data"]["run_id"]
    assert bob.received == []


async def test_websocket_event_delivery_interface_consistency(backend: Backend) -> None:
    factory, bridge = factories(backend.manager)
    emitters = {
        "by-class": UnifiedWebSocketEmitter.create_user_emitter(backend.manager, UserExecutionContext("by-class", "t")),
        "by-factory": await factory.create_user_emitter(user_id="by-factory", thread_id="t"),
        "by-bridge": await bridge.create_user_emitter(UserExecutionContext("by-bridge", "t")),
        "by-sign-in": UnifiedWebSocketEmitter.create_auth_emitter(backend.manager, "by-sign-in"),
    }
    clients = {user_id: await backend.connect(user_id) for user_id in emitters}
    receipts = [
        await getattr(emitter, f"emit_{event_type}")({"agent_name": "planner"})
        for event_type in CRITICAL_EVENTS
        for emitter in emitters.values()
    ]
    outcomes = await asyncio.gather(*(receipt.outcome() for receipt in receipts))
    assert {outcome.status for outcome in outcomes} == {DeliveryStatus.CONFIRMED}
    for user_id, client in clients.items():
        await client.event(4)
        assert [event["type"] for event in client.received] == list(CRITICAL_EVENTS)
        assert {tuple(event) for event in client.received} == {
            ("type", "event_id", "data", "timestamp", "critical", "attempt")
        }
        assert {event["data"]["user_id"] for event in client.received} == {user_id}
