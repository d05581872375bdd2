from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

import controller.emitters as package
from controller.emitters import (
    AgentWebSocketBridge,
    InvalidContextError,
    UnifiedWebSocketEmitter,
    UnifiedWebSocketManager,
    UserExecutionContext,
    WebSocketBridgeFactory,
    default_manager,
)
from controller.emitters.factories import context_of_call

CONTEXT = UserExecutionContext("alice", "thread-1", run_id="run-1")


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("alice", "thread-1", "socket-1"), {}),
        (("alice", "thread-1"), {"connection_id": "socket-1"}),
        (("alice",), {"thread_id": "thread-1", "connection_id": "socket-1"}),
        ((), {"user_id": "alice", "thread_id": "thread-1", "connection_id": "socket-1"}),
    ],
)
def test_every_legacy_call_means_the_same(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    context = context_of_call(*args, **kwargs)
    assert (context.user_id, context.thread_id, context.connection_id) == ("alice", "thread-1", "socket-1")


def test_a_connection_that_nobody_named_gets_the_seeds_name() -> None:
    assert context_of_call("alice", "thread-1").connection_id == "conn_alice_thread-1"


def test_the_context_wins_over_other_ids_and_may_not_be_contradicted() -> None:
    assert context_of_call(CONTEXT, "alice", "another-thread", "another-socket") is CONTEXT
    with pytest.raises(ValueError, match="contradicts"):
        context_of_call(CONTEXT, "mallory")


@pytest.mark.parametrize("ids", [{}, {"user_id": "alice"}, {"thread_id": "t"}, {"user_id": "", "thread_id": "t"}])
def test_a_call_that_names_nobody_is_refused(ids: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"Either user_context or \(user_id \+ thread_id\) required"):
        context_of_call(**ids)  # type: ignore[arg-type]


def test_a_placeholder_is_no_user() -> None:
    with pytest.raises(InvalidContextError, match="user_id"):
        context_of_call("registry", "thread-1")


@dataclass
class TheirContext:
    """A context class of an application, with an older name."""

    user_id: str
    thread_id: str
    run_id: str
    request_id: str = "request-9"
    websocket_client_id: str | None = "socket-9"


async def test_an_applications_own_context_class_will_do() -> None:
    factory = WebSocketBridgeFactory(manager=UnifiedWebSocketManager())
    emitter = await factory.create_user_emitter(TheirContext("alice", "thread-1", "run-9"))  # type: ignore[arg-type]
    assert emitter.context == UserExecutionContext("alice", "thread-1", "run-9", "request-9", "socket-9")
    with pytest.raises(TypeError, match="thread_id"):
        await factory.create_user_emitter(type("Half", (), {"user_id": "alice"})())


async def test_a_bridge_made_for_a_context_needs_none_in_the_call() -> None:
    bridge = AgentWebSocketBridge(CONTEXT, manager=UnifiedWebSocketManager())
    assert (await bridge.create_user_emitter()).context is CONTEXT
    assert (await bridge.create_user_emitter(user_id="bob", thread_id="t")).user_id == "bob"


async def test_factories_without_a_manager_share_the_one_of_the_process() -> None:
    factories = (WebSocketBridgeFactory(), AgentWebSocketBridge())
    made = [await factory.create_user_emitter(CONTEXT) for factory in factories]
    assert {emitter.manager for emitter in made} == {default_manager()}
    own = UnifiedWebSocketManager()
    assert WebSocketBridgeFactory(manager=own).manager is own


def test_nothing_needs_an_event_loop_to_be_made() -> None:
    code = (
        "from controller.emitters import *\n"
        "factory = WebSocketBridgeFactory({'max_events_per_user': 1000}); factory.configure(connection_pool=None)\n"
        "bridge = AgentWebSocketBridge(); assert factory.manager is bridge.manager is default_manager()\n"
        "UnifiedWebSocketEmitter(default_manager(), 'alice')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_every_name_of_the_package_is_exported() -> None:
    assert len(package.__all__) == len(set(package.__all__))
    assert all(hasattr(package, name) for name in package.__all__)
    assert UnifiedWebSocketEmitter.CRITICAL_EVENTS is package.CRITICAL_EVENTS
