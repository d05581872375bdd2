"""Code written for a legacy emitter is carried by either arm; on the control nothing changes on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from controller.emitters import (
    CRITICAL_EVENTS,
    AuthenticationWebSocketEmitter,
    CallForm,
    DeliveryStatus,
    EmitterRouter,
    LegacyBridgeEmitter,
    LegacyFactoryEmitter,
    RolloutEmitterFactory,
    UserExecutionContext,
)
from tests.emitters.flags import ClientFor, FlagProvider
from tests.emitters.sockets import Backend

CONTEXT = UserExecutionContext("alice", "thread-1", run_id="run-1")
Build = Callable[..., tuple[RolloutEmitterFactory, FlagProvider]]


@pytest.fixture
async def build(backend: Backend, client_for: ClientFor) -> AsyncIterator[Build]:
    routers: list[EmitterRouter] = []

    def make(calls: str, *, canary: bool, **settings: Any) -> tuple[RolloutEmitterFactory, FlagProvider]:
        provider = FlagProvider(canary=canary)
        control = LegacyFactoryEmitter if calls == CallForm.FACTORY else LegacyBridgeEmitter
        client = client_for(provider, f"rollout-{len(routers)}")
        routers.append(EmitterRouter(client, backend.manager, make_control=control, **settings))
        return RolloutEmitterFactory(routers[-1], calls), provider

    yield make
    for router in routers:
        router.close()


async def speak_as_to_the_bridge(emitter: Any) -> None:
    await emitter.notify_agent_started("run-1", "planner", {"topic": "t"})
    await emitter.notify_agent_thinking("run-1", "planner", "because", step_number=2, progress_percentage=50.0)
    await emitter.notify_tool_executing("run-1", "planner", "search", {"query": "q"})
    await emitter.notify_tool_completed("run-1", "planner", "search", "found", 3.5)
    await emitter.notify_agent_completed("run-1", "planner", "42", 12.5)


async def speak_as_to_the_factory(emitter: Any) -> None:
    await emitter.notify_agent_started("planner", "run-1")
    await emitter.notify_agent_thinking("planner", "run-1", "because")
    await emitter.notify_tool_executing("planner", "run-1", "search", {"query": "q"})
    await emitter.notify_tool_completed("planner", "run-1", "search", "found")
    await emitter.notify_agent_completed("planner", "run-1", "42")


SPEAK = {"bridge": speak_as_to_the_bridge, "factory": speak_as_to_the_factory}
DIRECT = {"bridge": LegacyBridgeEmitter, "factory": LegacyFactoryEmitter}


def without_identity(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in event.items() if name not in ("event_id", "timestamp")} for event in events]


@pytest.mark.parametrize("calls", ["bridge", "factory"])
async def test_on_the_control_clients_get_exactly_what_they_got_before(
    backend: Backend, build: Build, calls: str
) -> None:
    alice = await backend.connect("alice")
    await SPEAK[calls](DIRECT[calls](backend.manager, CONTEXT))
    await alice.event(4)
    factory, _ = build(calls, canary=False)
    await SPEAK[calls](await factory.create_user_emitter(CONTEXT))
    await alice.event(9)
    assert without_identity(alice.received[:5]) == without_identity(alice.received[5:])


@pytest.mark.parametrize("calls", ["bridge", "factory"])
async def test_on_the_canary_the_same_calls_make_the_unified_payloads(
    backend: Backend, build: Build, calls: str
) -> None:
    alice = await backend.connect("alice")
    factory, _ = build(calls, canary=True)
    await SPEAK[calls](await factory.create_user_emitter(CONTEXT))
    await alice.event(4)
    ids = {"user_id": "alice", "run_id": "run-1", "thread_id": "thread-1", "request_id": CONTEXT.request_id}
    said = [event["data"] for event in alice.received]
    assert all(ids.items() <= data.items() for data in said)
    assert [event["type"] for event in alice.received] == list(CRITICAL_EVENTS)
    assert [(data.get("agent_name"), data.get("tool")) for data in said] == [
        ("planner", None),
        (None, None),
        (None, "search"),
        (None, "search"),
        ("planner", None),
    ]
    assert said[1]["thought"] == "because"
    assert said[2]["metadata"] == {"agent_name": "planner", "parameters": {"query": "q"}}
    assert (said[3]["metadata"]["result"], said[4]["metadata"]["result"]) == ("found", "42")


async def test_each_run_of_one_factory_emitter_is_routed_for_itself(backend: Backend, build: Build) -> None:
    alice = await backend.connect("alice")
    factory, provider = build("factory", canary=True)
    emitter: Any = await factory.create_user_emitter("alice", "thread-1", "socket-1")  # type: ignore[arg-type]
    await emitter.notify_agent_started("planner", "run-1")
    provider.canary = False
    await emitter.notify_agent_started("planner", "run-2")
    await emitter.notify_agent_thinking("planner", "run-1", "still on the canary")
    await alice.event(2)
    assert ["event_type" in event for event in alice.received] == [False, True, False]
    assert factory.router.open_runs() == {"legacy": 1, "unified": 1}
    assert len(provider.asked) == 2


async def test_a_run_id_that_identifies_nothing_loses_no_event(backend: Backend, build: Build) -> None:
    alice = await backend.connect("alice")
    factory, _ = build("factory", canary=False)
    emitter: Any = await factory.create_user_emitter("alice", "thread-1", "socket-1")  # type: ignore[arg-type]
    receipt = await emitter.notify_agent_started("planner", "registry")
    assert (await receipt.outcome()).delivered
    assert (await alice.event())["data"]["run_id"] == emitter.context.run_id


@pytest.mark.parametrize("canary", [True, False])
async def test_the_bridges_refusal_of_a_foreign_run_holds_on_both_arms_and_is_charged_to_the_one_that_carries(
    backend: Backend, build: Build, canary: bool
) -> None:
    alice = await backend.connect("alice")
    factory, _ = build("bridge", canary=canary)
    emitter: Any = await factory.create_user_emitter(CONTEXT)
    receipt = await emitter.notify_agent_started("run-2", "planner")
    outcome = await receipt.outcome()
    assert (bool(receipt), outcome.status) == (False, DeliveryStatus.REJECTED)
    assert outcome.variant == ("unified" if canary else "legacy")
    assert alice.received == []


async def test_signing_in_is_no_part_of_the_rollout(backend: Backend, build: Build) -> None:
    factory, provider = build("unified", canary=True)
    emitter = await factory.create_auth_emitter("alice")
    assert isinstance(emitter, AuthenticationWebSocketEmitter)
    await backend.connect("alice")
    assert await emitter.emit_auth_event("auth_started", {})
    assert provider.asked == []


async def test_a_way_to_call_that_does_not_exist_is_refused_by_name(build: Build) -> None:
    with pytest.raises(ValueError, match="telegraph"):
        build("telegraph", canary=True)
