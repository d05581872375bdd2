"""The end of a process on real sockets, with the real reporter and a controller that may be away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from controller.client import DeliveryReporter
from controller.emitters import (
    DeliveryStatus,
    EmitterRouter,
    GoldenPathMonitor,
    UnifiedWebSocketManager,
    UserExecutionContext,
    connect,
    shut_down,
)
from tests.client.conftest import QUICK
from tests.client.fake_controller import TOKEN, FakeController
from tests.emitters.flags import ClientFor, FlagProvider
from tests.emitters.sockets import PATIENCE_S, Backend, running_backend


@pytest.fixture
def controller() -> Iterator[FakeController]:
    fake = FakeController().start()
    yield fake
    fake.stop()


def reporter_for(controller: FakeController) -> DeliveryReporter:
    return DeliveryReporter(controller.url, TOKEN, pace=QUICK, flush_interval=600, heartbeat=600)


async def test_everything_is_settled_reported_and_deregistered_within_the_budget(
    controller: FakeController, client_for: ClientFor
) -> None:
    async with running_backend() as backend:
        router = EmitterRouter(client_for(FlagProvider(canary=True), "ending"), backend.manager)
        reporter, monitor = reporter_for(controller), GoldenPathMonitor()
        connect(backend.manager.recorder, router, reporter, monitor=monitor)
        reporter.start()
        alice, _bob = await backend.connect("alice"), await backend.connect("bob")
        alice.never_pong()
        stuck = await router.emitter_for(UserExecutionContext("alice", "t")).emit_agent_started({})
        quick = await router.emitter_for(UserExecutionContext("bob", "t")).emit_agent_started({})
        report = await shut_down(backend.manager, router=router, reporter=reporter, monitor=monitor, budget=1.0)
        assert (report.interrupted, report.reported) == (1, True)
        assert (await stuck.outcome()).status is DeliveryStatus.INTERRUPTED
        assert (await quick.outcome()).delivered
        await alice.reader
        assert alice.connection.close_code == 1001
        assert (controller.total("delivered"), controller.total("interrupted"), controller.total("failed")) == (1, 1, 0)
        assert controller.reports[-1].closing
        refused = await router.emitter_for(UserExecutionContext("bob", "t")).emit_agent_started({})
        assert not refused


async def test_a_controller_that_does_not_answer_costs_the_budget_and_no_more(
    controller: FakeController, client_for: ClientFor
) -> None:
    async with running_backend() as backend:
        router = EmitterRouter(client_for(FlagProvider(canary=True), "hanging"), backend.manager)
        reporter = reporter_for(controller)
        connect(backend.manager.recorder, router, reporter)
        controller.hang.clear()
        reporter.start()
        await backend.connect("alice")
        await (await router.emitter_for(UserExecutionContext("alice", "t")).emit_agent_started({})).outcome()
        async with asyncio.timeout(PATIENCE_S):
            report = await shut_down(backend.manager, router=router, reporter=reporter, budget=0.5)
        assert not report.reported
        controller.hang.set()


async def test_a_peer_that_takes_no_part_in_the_closing_is_not_waited_for() -> None:
    async with running_backend(close_timeout=30.0) as backend:
        alice = await backend.connect("alice")
        alice.stop_reading()
        async with asyncio.timeout(PATIENCE_S):  # a third of what the handshake may take
            await shut_down(backend.manager, budget=0.5)


async def test_it_needs_nothing_but_a_manager_and_a_budget(backend: Backend) -> None:
    assert (await shut_down(backend.manager)).interrupted == 0
    with pytest.raises(ValueError, match="budget"):
        await shut_down(UnifiedWebSocketManager(), budget=0)
