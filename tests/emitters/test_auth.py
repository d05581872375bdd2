from __future__ import annotations

import pytest

from controller.emitters import (
    AUTH_EVENTS,
    AuthenticationWebSocketEmitter,
    AuthenticationWebSocketError,
    DeliveryStatus,
    UnifiedWebSocketEmitter,
    UserExecutionContext,
)
from tests.emitters.sockets import Backend, running_backend


async def test_signing_in_waits_for_the_proof_of_each_event(backend: Backend) -> None:
    alice = await backend.connect("alice")
    emitter = UnifiedWebSocketEmitter.create_auth_emitter(
        backend.manager, "alice", UserExecutionContext("alice", "thread-1")
    )
    for event_type in AUTH_EVENTS:
        assert await emitter.emit_auth_event(event_type, {"method": "passkey"})
    assert [event["type"] for event in alice.received] == list(AUTH_EVENTS)
    assert all(event["critical"] for event in alice.received)
    assert (emitter.auth_metrics.total, emitter.auth_metrics.successful, emitter.auth_delivery_rate) == (4, 4, 100.0)


async def test_without_a_connection_it_says_so_at_once(backend: Backend) -> None:
    emitter = AuthenticationWebSocketEmitter(backend.manager, "alice")
    with pytest.raises(AuthenticationWebSocketError, match="no open connection"):
        await emitter.emit_auth_event("auth_started", {})
    assert (emitter.auth_metrics.failed, emitter.auth_delivery_rate) == (1, 0.0)


async def test_an_event_that_nobody_proves_is_a_failure() -> None:
    async with running_backend(delivery_timeout=0.1) as backend:
        alice = await backend.connect("alice")
        alice.never_pong()
        emitter = AuthenticationWebSocketEmitter(backend.manager, "alice")
        assert not await emitter.emit_auth_event("auth_failed", {})
        assert backend.recorder_statuses == [DeliveryStatus.TIMEOUT]


async def test_it_takes_authentication_events_only_and_is_a_unified_emitter_for_all_others(backend: Backend) -> None:
    await backend.connect("alice")
    emitter = AuthenticationWebSocketEmitter(backend.manager, "alice", None, True)
    with pytest.raises(ValueError, match="event_type must be one of auth_started"):
        await emitter.emit_auth_event("agent_started", {})
    assert isinstance(emitter, UnifiedWebSocketEmitter)
    assert emitter.performance_mode
    assert (await (await emitter.emit_agent_started({})).outcome()).delivered
