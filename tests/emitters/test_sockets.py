from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.server import ServerConnection, serve

from controller.emitters import DeliveryStatus, UnifiedWebSocketManager
from tests.emitters.sockets import Backend, eventually, open_socket, running_backend


async def test_a_fragmented_message_of_the_application_is_not_torn_apart() -> None:
    manager = UnifiedWebSocketManager()
    go_on = asyncio.Event()
    begun = asyncio.Event()

    async def fragments() -> AsyncIterator[str]:
        yield "begin "
        begun.set()
        await go_on.wait()
        yield "end"

    async def handler(websocket: ServerConnection) -> None:
        sending = asyncio.create_task(websocket.send(fragments()))
        await manager.serve_connection("alice", websocket)
        await asyncio.gather(sending, return_exceptions=True)

    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_socket(f"ws://127.0.0.1:{port}") as alice:
            await begun.wait()
            receipts = [await manager.emit_critical_event("alice", "agent_thinking", {"n": n}) for n in range(2)]
            await asyncio.sleep(0)
            assert manager.get_connection_health("alice").in_flight == 2  # it waits for its turn
            go_on.set()
            assert await alice.recv() == "begin end"
            assert '"n":0' in str(await alice.recv())
            assert '"n":1' in str(await alice.recv())
            assert [(await receipt.outcome()).status for receipt in receipts] == [DeliveryStatus.CONFIRMED] * 2
        await manager.aclose()


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_events_of_one_turn_share_one_ping_and_one_write(compression: str | None) -> None:
    manager = UnifiedWebSocketManager()
    accepted: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def handler(websocket: ServerConnection) -> None:
        accepted.put_nowait(websocket)
        await manager.serve_connection("alice", websocket)

    async with serve(handler, "127.0.0.1", 0, compression=compression, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_socket(f"ws://127.0.0.1:{port}", compression=compression, ping_interval=None) as alice:
            websocket = await accepted.get()
            writes: list[int] = []
            write = websocket.transport.write
            websocket.transport.write = lambda data: (writes.append(len(data)), write(data))  # type: ignore[method-assign]
            receipts = [await manager.emit_critical_event("alice", "agent_thinking", {"n": n}) for n in range(150)]
            received = [await alice.recv() for _ in range(150)]
            outcomes = [await receipt.outcome() for receipt in receipts]
            assert {outcome.status for outcome in outcomes} == {DeliveryStatus.CONFIRMED}
            assert (len(received), len(writes)) == (150, 3)  # 64, 64 and 22 events
        await manager.aclose()


async def test_a_writer_that_fails_for_a_reason_of_its_own_is_charged_and_logged(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    await backend.connect("alice")
    [connection] = backend.manager.connections

    class Broken:
        def __getattr__(self, name: str) -> object:
            return getattr(connection_socket, name)

        def write(self, *_: object) -> None:
            raise RuntimeError("a bug")

    connection_socket = connection.socket
    connection.socket = Broken()  # type: ignore[assignment]
    receipt = await backend.manager.emit_critical_event("alice", "agent_started", {})
    assert (await receipt.outcome()).status is DeliveryStatus.ERROR
    assert "writing to a connection failed" in caplog.text
    assert not backend.manager.is_connection_active("alice")


async def test_an_idle_connection_whose_owner_reads_it_and_does_not_tell_is_noticed_when_it_ends() -> None:
    manager = UnifiedWebSocketManager(delivery_timeout=0.2)
    accepted: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def handler(websocket: ServerConnection) -> None:
        await manager.add_connection("alice", websocket)
        accepted.put_nowait(websocket)
        await websocket.wait_closed()

    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_socket(f"ws://127.0.0.1:{port}"):
            await accepted.get()
            assert len(manager.connections) == 1
        await eventually(lambda: manager.connections == [])
        await manager.aclose()


async def test_nothing_runs_for_an_idle_connection() -> None:
    async with running_backend() as backend:
        before = len(asyncio.all_tasks())
        await backend.connect("alice")
        names = {task.get_name() for task in asyncio.all_tasks()}
        # The peer's own tasks, the server's handler and the one sweeper; no writer.
        assert not any(name.startswith(("writer-", "closer-")) for name in names)
        assert "delivery-sweeper" in names
        assert len(asyncio.all_tasks()) >= before
