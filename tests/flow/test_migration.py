"""A team on a legacy emitter changes one line and starts a rollout: the whole line, on a running controller."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from openfeature import api

from controller.client import CanaryProvider, DeliveryReporter
from controller.emitters import (
    EmitterRouter,
    LegacyFactoryEmitter,
    RolloutEmitterFactory,
    UnifiedWebSocketEmitter,
    UnifiedWebSocketManager,
    UserExecutionContext,
    connect,
    shut_down,
)
from tests.builders import FLAG
from tests.emitters.sockets import Backend, eventually, running_backend
from tests.flow.site import Site, until

USERS = [f"user-{number}" for number in range(30)]


class BrokenEmitter(UnifiedWebSocketEmitter):
    """The canary of this release."""

    async def emit(self, event_type: str, data: dict[str, Any]) -> Any:  # noqa: ARG002 - the interface's
        raise RuntimeError(f"cannot emit {event_type}")


def broken(manager: UnifiedWebSocketManager, context: UserExecutionContext) -> BrokenEmitter:
    return BrokenEmitter.create_user_emitter(manager, context)


async def a_run_of_everybody(factory: RolloutEmitterFactory, run: str) -> None:
    """Code as it was written for the legacy factory."""
    for user_id in USERS:
        emitter: Any = await factory.create_user_emitter(user_id, "thread-1", f"socket-of-{user_id}")  # type: ignore[arg-type]
        await emitter.notify_agent_started("planner", f"{run}-of-{user_id}")
        await emitter.notify_agent_thinking("planner", f"{run}-of-{user_id}", "what could they mean?")
        await emitter.notify_agent_completed("planner", f"{run}-of-{user_id}", "42")


async def until_rolled_back(backend: Backend, factory: RolloutEmitterFactory, site: Site) -> None:
    """Users go on asking until the controller has taken the canary back everywhere."""
    verified = asyncio.create_task(
        asyncio.to_thread(until, lambda: site.rollout()["phase"] == "rolled_back", "the rollback was verified")
    )
    turn = 0
    while not verified.done():
        turn += 1
        await a_run_of_everybody(factory, f"run-{turn}")
        await backend.manager.recorder.all_settled()
        await asyncio.sleep(0.05)
    await verified


async def test_a_bad_canary_is_taken_back_and_the_legacy_clients_notice_nothing(
    sqlite_url: str, new_site: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    site = await asyncio.to_thread(new_site, sqlite_url)
    await asyncio.to_thread(site.begin, stages=[{"share": "50%", "bake": "1h"}, {"share": "100%", "bake": "1h"}])
    token = await asyncio.to_thread(site.sdk_token)
    reporter = DeliveryReporter(site.url, token, flush_interval=0.1)
    await asyncio.to_thread(api.set_provider_and_wait, CanaryProvider(site.url, token, reporter=reporter))
    async with running_backend() as backend:
        router = EmitterRouter(
            api.get_client(), backend.manager, flag_key=FLAG, make_control=LegacyFactoryEmitter, make_canary=broken
        )
        connect(backend.manager.recorder, router, reporter)
        factory = RolloutEmitterFactory(router, calls="factory")
        clients = {user_id: await backend.connect(user_id) for user_id in USERS}
        await until_rolled_back(backend, factory, site)
        assert router.exposures["unified"] > 0
        for client in clients.values():
            client.received.clear()
        await a_run_of_everybody(factory, "after")
        for user_id, client in clients.items():
            await eventually(lambda client=client: len(client.received) == 3)  # type: ignore[misc]
            assert [event["event_type"] for event in client.received] == [
                *("agent_started", "agent_thinking", "agent_completed"),
            ]
            assert {event["data"]["run_id"] for event in client.received} == {f"after-of-{user_id}"}
        report = await shut_down(backend.manager, router=router, reporter=reporter)
        assert report.reported
    await asyncio.to_thread(api.shutdown)
    api.clear_providers()
    instances = (await asyncio.to_thread(site.http.get, "/api/v1/instances")).json()["items"]
    assert [found["state"] for found in instances if found["id"] == reporter.instance] == ["gone"]
    canary = [row for row in site.rollout()["health"] if row["arm"] == "canary"]
    assert sum(row["delivered"] for row in canary) == 0
    assert sum(row["failed"] for row in canary) > 0
    assert {row["unknown"] for row in site.rollout()["health"]} == {0}
