"""Sessions opened for the canary are taken back after a rollback: spread over time, counted, and no event is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from openfeature.event import ProviderEventDetails
from websockets.asyncio.server import ServerConnection, serve

from controller.emitters import (
    DeliveryStatus,
    EmitterRouter,
    SessionMigration,
    UnifiedWebSocketEmitter,
    UnifiedWebSocketManager,
)
from tests.emitters.flags import FLAG, ClientFor, FlagProvider
from tests.emitters.sockets import Client, eventually, open_client


class Sessions:
    """A back end that opens each session for the arm that the flag names."""

    def __init__(self, manager: UnifiedWebSocketManager, router: EmitterRouter, port: int) -> None:
        self.manager, self.router, self.port = manager, router, port
        self.clients: list[Client] = []

    async def connect(self, user_id: str) -> Client:
        known = len(self.manager.connections)
        client = await open_client(f"ws://127.0.0.1:{self.port}/{user_id}", ping_interval=None)
        self.clients.append(client)
        await eventually(lambda: len(self.manager.connections) > known)
        return client


@asynccontextmanager
async def sessions(client_for: ClientFor, provider: FlagProvider) -> AsyncIterator[Sessions]:
    manager = UnifiedWebSocketManager(close_timeout=0.5)
    router = EmitterRouter(client_for(provider, "sessions"), manager)

    async def handler(websocket: ServerConnection) -> None:
        assert websocket.request is not None
        user_id = websocket.request.path[1:]
        variant = router.assignment_of_user(user_id).variant
        await manager.serve_connection(user_id, websocket, variant=variant)

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        at = Sessions(manager, router, server.sockets[0].getsockname()[1])
        yield at
        await manager.aclose()
        for client in at.clients:
            await client.close()
    router.close()


def chances(*values: float) -> Iterator[float]:
    yield from values


@pytest.mark.parametrize("by", ["the router", "the flag"])
async def test_after_a_rollback_every_canary_session_is_asked_to_come_back_and_is_then_the_controls(
    client_for: ClientFor, by: str
) -> None:
    provider = FlagProvider(canary=True)
    async with sessions(client_for, provider) as at:
        migration = SessionMigration(at.manager, at.router, jitter=0.05)
        peers = [await at.connect(f"user-{number}") for number in range(5)]
        assert migration.canary_sockets_left == 5
        if by == "the router":
            await at.router.rollback("success below 95 %")
        else:
            provider.change(canary=False)
        await asyncio.gather(*(peer.reader for peer in peers))
        assert {peer.connection.close_code for peer in peers} == {1012}
        assert (migration.canary_sockets_left, migration.migrated, migration.waiting) == (0, 5, 0)
        await at.connect("user-0")
        assert [connection.variant for connection in at.manager.connections] == ["legacy"]
        assert migration.canary_sockets_left == 0


async def test_reconnections_are_spread_and_the_count_tells_how_many_are_left(client_for: ClientFor) -> None:
    async with sessions(client_for, FlagProvider(canary=True)) as at:
        moments = chances(0.0, 1.0, 1.0)
        migration = SessionMigration(at.manager, at.router, jitter=600, chance=lambda: next(moments))
        first = await at.connect("user-0")
        for number in (1, 2):
            await at.connect(f"user-{number}")
        at.router.latch("success below 95 %")
        await first.reader
        assert (migration.canary_sockets_left, migration.waiting, migration.migrated) == (2, 2, 1)
        migration.close()
        assert migration.waiting == 0


async def test_events_under_way_reach_the_next_connection_and_nobody_is_charged(client_for: ClientFor) -> None:
    async with sessions(client_for, FlagProvider(canary=True)) as at:
        SessionMigration(at.manager, at.router, jitter=0)
        peer = await at.connect("alice")
        peer.never_pong()
        receipt = await UnifiedWebSocketEmitter(at.manager, "alice").emit_agent_started({})
        await peer.event()
        at.router.latch("success below 95 %")
        await peer.reader
        back = await at.connect("alice")
        assert (await receipt.outcome()).status is DeliveryStatus.CONFIRMED
        assert (await back.event())["event_id"] == receipt.event_id


async def test_sessions_of_the_control_and_shared_ones_stay_and_so_does_who_is_still_the_canarys(
    client_for: ClientFor,
) -> None:
    provider = FlagProvider(canary=False)
    async with sessions(client_for, provider) as at:
        migration = SessionMigration(at.manager, at.router, jitter=0)
        await at.connect("on-the-control")
        provider.canary = True
        await at.connect("on-the-canary")
        asked = len(provider.asked)
        before = at.router.generation
        provider.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=[FLAG]))
        await eventually(lambda: at.router.generation is not before)
        await eventually(lambda: len(provider.asked) > asked)  # it has been asked again, and is still the canary's
        await at.connect("another")
        assert (len(at.manager.connections), migration.canary_sockets_left, migration.migrated) == (3, 2, 0)


async def test_a_session_that_became_the_canarys_again_before_its_moment_stays(client_for: ClientFor) -> None:
    async with sessions(client_for, FlagProvider(canary=True)) as at:
        migration = SessionMigration(at.manager, at.router, jitter=600, chance=lambda: 1.0)
        await at.connect("alice")
        at.router.latch("by mistake")
        await eventually(lambda: migration.waiting == 1)
        at.router.reset()
        before = at.router.generation
        at.router._provider_changed(type("Details", (), {"flags_changed": None})())
        assert at.router.generation is not before
        await eventually(lambda: migration.waiting == 0)
        assert migration.canary_sockets_left == 1


def test_a_negative_jitter_is_refused(client_for: ClientFor) -> None:
    manager = UnifiedWebSocketManager()
    router = EmitterRouter(client_for(FlagProvider(canary=True), "negative"), manager)
    with pytest.raises(ValueError, match="jitter"):
        SessionMigration(manager, router, jitter=-1)
    router.close()
