from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import pytest

from controller.emitters import (
    AttemptClaim,
    DeliveryStatus,
    EmitterRouter,
    EventData,
    OutcomeClass,
    RoutedEmitter,
    UnifiedWebSocketEmitter,
    UnifiedWebSocketManager,
    UserExecutionContext,
    carrying,
    current_attempt,
)
from tests.emitters.flags import ClientFor, FlagProvider
from tests.emitters.sockets import Backend, running_backend

Faulty = Callable[..., RoutedEmitter]
CONTEXT = UserExecutionContext("alice", "thread-1", run_id="run-1")


class SilentlyDropping(UnifiedWebSocketEmitter):
    async def emit_agent_thinking(self, *_: object) -> bool:
        return True


class Raising(UnifiedWebSocketEmitter):
    async def emit_agent_thinking(self, *_: object) -> bool:
        raise RuntimeError("broken emitter")


class RaisingAfterSending(UnifiedWebSocketEmitter):
    async def emit_agent_thinking(self, data: EventData) -> bool:
        await super().emit_agent_thinking(data)
        raise RuntimeError("too late")


class SendingTwice(UnifiedWebSocketEmitter):
    async def emit_agent_thinking(self, data: EventData) -> bool:
        await super().emit_agent_thinking(data)
        return bool(await super().emit_agent_thinking(data))


class MistakingTheUser(UnifiedWebSocketEmitter):
    async def emit_agent_thinking(self, *_: object) -> bool:
        return bool(await self.manager.emit_critical_event("mallory", "agent_thinking", {}))


class Hanging(UnifiedWebSocketEmitter):
    async def emit_agent_thinking(self, *_: object) -> bool:
        await asyncio.Event().wait()
        return True


@pytest.fixture
async def quick() -> AsyncIterator[Backend]:
    async with running_backend(delivery_timeout=0.1) as backend:
        yield backend


@pytest.fixture
async def run_with(quick: Backend, client_for: ClientFor) -> AsyncIterator[Faulty]:
    routers: list[EmitterRouter] = []

    def make(
        make_canary: Callable[[UnifiedWebSocketManager, UserExecutionContext], object] = (
            UnifiedWebSocketEmitter.create_user_emitter
        ),
    ) -> RoutedEmitter:
        client = client_for(FlagProvider(canary=True), "faulty")
        routers.append(EmitterRouter(client, quick.manager, make_canary=make_canary))  # type: ignore[arg-type]
        return routers[-1].emitter_for(CONTEXT)

    yield make
    for router in routers:
        router.close()


async def test_the_attempt_made_before_the_emitter_ran_is_the_one_on_the_wire(quick: Backend, run_with: Faulty) -> None:
    alice = await quick.connect("alice")
    receipt = await run_with().emit_agent_thinking({"thought": "hm"})
    assert (await receipt.outcome()).status is DeliveryStatus.CONFIRMED
    assert (await alice.event())["event_id"] == receipt.event_id
    assert quick.manager.recorder.counters().attempted == 1


async def test_an_emitter_that_silently_drops_an_event_is_charged_at_the_deadline(
    quick: Backend, run_with: Faulty
) -> None:
    await quick.connect("alice")
    receipt = await run_with(SilentlyDropping.create_user_emitter).emit_agent_thinking({})
    assert receipt  # it says that it has sent
    outcome = await receipt.outcome()
    assert (outcome.status, outcome.variant) == (DeliveryStatus.TIMEOUT, "unified")


async def test_it_is_charged_even_when_nobody_is_connected_at_all(run_with: Faulty) -> None:
    receipt = await run_with(SilentlyDropping.create_user_emitter).emit_agent_thinking({})
    assert (await receipt.outcome()).outcome_class is OutcomeClass.FAILED


@pytest.mark.parametrize("emitter", [Raising, RaisingAfterSending])
async def test_an_emitter_that_raises_is_charged_at_once_and_does_not_break_the_run(
    quick: Backend, run_with: Faulty, emitter: type[UnifiedWebSocketEmitter], caplog: pytest.LogCaptureFixture
) -> None:
    alice = await quick.connect("alice")
    alice.never_pong()
    run = run_with(emitter.create_user_emitter)
    with caplog.at_level(logging.ERROR):
        receipt = await run.emit_agent_thinking({})
    assert not receipt
    assert quick.manager.recorder.pending == 0
    outcome = await receipt.outcome()
    assert outcome.status is DeliveryStatus.ERROR
    assert "RuntimeError" in outcome.error
    assert await run.emit_tool_executing({})


async def test_a_canary_that_cannot_even_be_made_is_charged_for_every_event(quick: Backend, run_with: Faulty) -> None:
    def broken(_manager: UnifiedWebSocketManager, _context: UserExecutionContext) -> object:
        raise TypeError("no such argument")

    run = run_with(broken)
    assert not await run.emit_agent_started({})
    assert not await run.emit_agent_thinking({})
    assert quick.recorder_statuses == [DeliveryStatus.ERROR] * 2


async def test_an_emitter_without_a_way_for_custom_events_is_charged_for_them(quick: Backend, run_with: Faulty) -> None:
    assert not await run_with(lambda _manager, _context: object()).emit("progress_update", {})
    assert quick.recorder_statuses == [DeliveryStatus.ERROR]


async def test_a_second_send_of_one_event_is_an_attempt_of_its_own(quick: Backend, run_with: Faulty) -> None:
    alice = await quick.connect("alice")
    receipt = await run_with(SendingTwice.create_user_emitter).emit_agent_thinking({})
    await receipt.outcome()
    await alice.event(1)
    await quick.manager.recorder.all_settled()
    counters = quick.manager.recorder.counters()
    assert (counters.attempted, counters.delivered) == (2, 2)
    assert len({event["event_id"] for event in alice.received}) == 2


async def test_an_event_that_goes_to_somebody_else_does_not_count_as_this_users(
    quick: Backend, run_with: Faulty
) -> None:
    alice, mallory = await quick.connect("alice"), await quick.connect("mallory")
    receipt = await run_with(MistakingTheUser.create_user_emitter).emit_agent_thinking({})
    assert (await receipt.outcome()).status is DeliveryStatus.TIMEOUT
    assert (await mallory.event())["event_id"] != receipt.event_id
    assert alice.received == []


async def test_an_event_dropped_while_the_manager_closes_is_interrupted_at_once(
    quick: Backend, run_with: Faulty
) -> None:
    run = run_with(SilentlyDropping.create_user_emitter)
    await quick.manager.aclose()
    receipt = await run.emit_agent_thinking({})
    assert (await receipt.outcome()).status is DeliveryStatus.INTERRUPTED


async def test_cancelling_the_emit_of_a_hanging_emitter_is_our_own_interruption(
    quick: Backend, run_with: Faulty
) -> None:
    emitting = asyncio.create_task(run_with(Hanging.create_user_emitter).emit_agent_thinking({}))
    await asyncio.sleep(0)
    emitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await emitting
    assert quick.recorder_statuses == [DeliveryStatus.INTERRUPTED]


async def test_a_hanging_emitter_is_charged_while_it_hangs(quick: Backend, run_with: Faulty) -> None:
    emitting = asyncio.create_task(run_with(Hanging.create_user_emitter).emit_agent_thinking({}))
    await asyncio.sleep(0)
    await quick.manager.recorder.all_settled()
    assert quick.recorder_statuses == [DeliveryStatus.TIMEOUT]
    emitting.cancel()
    await asyncio.gather(emitting, return_exceptions=True)


async def test_an_emitter_that_sends_from_a_task_it_starts_still_settles_its_attempt(
    quick: Backend, run_with: Faulty
) -> None:
    tasks: list[asyncio.Task[object]] = []

    class Deferring(UnifiedWebSocketEmitter):
        async def emit_agent_thinking(self, data: EventData) -> bool:
            tasks.append(asyncio.create_task(super().emit_agent_thinking(data)))
            return True

    await quick.connect("alice")
    receipt = await run_with(Deferring.create_user_emitter).emit_agent_thinking({})
    assert (await receipt.outcome()).delivered
    assert quick.manager.recorder.counters().attempted == 1
    await asyncio.gather(*tasks)


async def test_an_emitter_with_a_queue_of_its_own_can_take_the_attempt_along(quick: Backend, run_with: Faulty) -> None:
    queue: asyncio.Queue[tuple[UnifiedWebSocketEmitter, EventData, AttemptClaim | None]] = asyncio.Queue()

    async def worker() -> None:
        emitter, data, attempt = await queue.get()
        with carrying(attempt):
            await emitter.emit("agent_thinking", data)

    class Queueing(UnifiedWebSocketEmitter):
        async def emit_agent_thinking(self, data: EventData) -> bool:
            queue.put_nowait((self, data, current_attempt()))
            return True

    await quick.connect("alice")
    working = asyncio.create_task(worker())
    receipt = await run_with(Queueing.create_user_emitter).emit_agent_thinking({"thought": "hm"})
    assert (await receipt.outcome()).delivered
    assert quick.manager.recorder.counters().attempted == 1
    await working
    assert current_attempt() is None
