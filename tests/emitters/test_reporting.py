from __future__ import annotations

import asyncio
import logging

import pytest

from controller.domain.outcomes import OutcomeClass
from controller.emitters import EmitterRouter, UserExecutionContext, connect
from tests.emitters.flags import FLAG, ClientFor, FlagProvider
from tests.emitters.sockets import Backend


class Calls:
    """A reporter that remembers what it was told, in order."""

    def __init__(self) -> None:
        self.made: list[tuple[str, dict[str, object]]] = []

    def attempt(self, **about: object) -> object:
        self.made.append(("attempt", about))
        return object()

    def settle(self, event_id: str, outcome_class: OutcomeClass, **about: object) -> bool:
        self.made.append(("settle", {"event_id": event_id, "outcome_class": outcome_class, **about}))
        return True

    def exposed(self, flag: str, variant: str, *, revision: int | None = None) -> None:
        self.made.append(("exposed", {"flag": flag, "variant": variant, "revision": revision}))

    def open_runs(self, flag: str, variant: str, n: int) -> None:
        self.made.append(("open_runs", {"flag": flag, "variant": variant, "n": n}))

    def run_ended(self, flag: str, variant: str, user_id: str, run_id: str) -> None:
        self.made.append(("run_ended", {"flag": flag, "variant": variant, "user_id": user_id, "run_id": run_id}))

    def named(self, name: str) -> list[dict[str, object]]:
        return [about for call, about in self.made if call == name]


@pytest.fixture
def router(backend: Backend, client_for: ClientFor) -> EmitterRouter:
    return EmitterRouter(client_for(FlagProvider(canary=True), "reporting"), backend.manager)


async def test_a_run_is_reported_from_its_first_event_to_its_end(backend: Backend, router: EmitterRouter) -> None:
    calls = Calls()
    connect(backend.manager.recorder, router, calls, FLAG)
    await backend.connect("alice")
    emitter = router.emitter_for(UserExecutionContext("alice", "thread-1", run_id="run-1"))
    receipt = await emitter.emit_agent_completed({})
    outcome = await receipt.outcome()
    assert [name for name, _ in calls.made] == [
        *("open_runs", "open_runs"),  # where things stand when the reporter is connected
        *("open_runs", "exposed", "attempt", "open_runs", "run_ended", "settle"),
    ]
    assert calls.named("attempt") == [
        {
            "flag": FLAG,
            "variant": "unified",
            "event_type": "agent_completed",
            "user_id": "alice",
            "run_id": "run-1",
            "event_id": receipt.event_id,
            "rollout": "unified-emitter",
            "epoch": 3,
        }
    ]
    assert calls.named("settle") == [
        {
            "event_id": receipt.event_id,
            "outcome_class": OutcomeClass.DELIVERED,
            "status": "confirmed",
            "latency_ms": outcome.latency_ms,
            "reason": "",
        }
    ]
    assert calls.named("exposed") == [{"flag": FLAG, "variant": "unified", "revision": 41}]
    assert calls.named("run_ended") == [{"flag": FLAG, "variant": "unified", "user_id": "alice", "run_id": "run-1"}]
    assert [(call["variant"], call["n"]) for call in calls.named("open_runs")[-2:]] == [("unified", 1), ("unified", 0)]


async def test_what_no_router_assigned_and_what_is_not_critical_is_not_reported(
    backend: Backend, router: EmitterRouter
) -> None:
    calls = Calls()
    connect(backend.manager.recorder, router, calls)
    await backend.manager.emit_critical_event("alice", "agent_started", {})
    await router.emitter_for(UserExecutionContext("alice", "thread-1")).emit("progress_update", {})
    await asyncio.sleep(0)
    assert (calls.named("attempt"), calls.named("settle")) == ([], [])


async def test_exposures_that_the_provider_reports_itself_are_not_reported_twice(
    backend: Backend, client_for: ClientFor
) -> None:
    calls, provider = Calls(), FlagProvider(canary=True)
    provider.reporter = calls
    router = EmitterRouter(client_for(provider, "telling"), backend.manager)
    connect(backend.manager.recorder, router, calls)
    await router.emitter_for(UserExecutionContext("alice", "thread-1")).emit_agent_started({})
    await asyncio.sleep(0)
    assert (len(calls.named("attempt")), calls.named("exposed")) == (1, [])


async def test_whoever_waits_for_an_outcome_finds_it_reported(backend: Backend, router: EmitterRouter) -> None:
    calls = Calls()
    connect(backend.manager.recorder, router, calls)
    await backend.connect("alice")
    receipt = await router.emitter_for(UserExecutionContext("alice", "thread-1")).emit_agent_started({})
    await receipt.outcome()
    assert len(calls.named("settle")) == 1


async def test_a_manager_that_is_closed_has_passed_on_every_outcome(backend: Backend, router: EmitterRouter) -> None:
    calls = Calls()
    connect(backend.manager.recorder, router, calls)
    alice = await backend.connect("alice")
    alice.never_pong()
    await router.emitter_for(UserExecutionContext("alice", "thread-1")).emit_agent_started({})
    await backend.manager.aclose()
    assert [call["outcome_class"] for call in calls.named("settle")] == [OutcomeClass.INTERRUPTED]


async def test_a_reporter_that_raises_breaks_no_emission_and_loses_nothing_else(
    backend: Backend, router: EmitterRouter, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Calls):
        def exposed(self, *_: object, **__: object) -> None:
            raise RuntimeError("broken")

    calls = Broken()
    caplog.set_level(logging.CRITICAL)
    listener = connect(backend.manager.recorder, router, calls)
    await backend.connect("alice")
    receipt = await router.emitter_for(UserExecutionContext("alice", "thread-1")).emit_agent_started({})
    await receipt.outcome()
    assert (listener.errors, len(calls.named("attempt")), len(calls.named("settle"))) == (1, 1, 1)


def test_a_flag_that_is_not_the_routers_is_refused(backend: Backend, router: EmitterRouter) -> None:
    with pytest.raises(ValueError, match="flag_key"):
        connect(backend.manager.recorder, router, Calls(), "another-flag")
