from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.server import ServerConnection, serve

from controller.emitters import ConnectionLimitError, DeliveryStatus, UnifiedWebSocketManager
from tests.emitters.sockets import eventually, open_client, open_socket, running_backend


async def test_one_user_cannot_hold_more_than_the_allowed_connections() -> None:
    async with running_backend(max_connections_per_user=1) as backend:
        await backend.connect("alice")
        port = backend.server.sockets[0].getsockname()[1]
        async with open_socket(f"ws://127.0.0.1:{port}/alice") as second:
            await second.wait_closed()
            assert second.close_code == 1013


async def test_a_client_whose_name_for_its_connection_is_too_long_is_refused() -> None:
    async with running_backend() as backend:
        uri = f"ws://127.0.0.1:{backend.port}/alice?name={'x' * 300}"
        async with open_socket(uri) as hostile:
            await hostile.wait_closed()
            assert hostile.close_code == 1008
        assert backend.manager.connections == []


async def test_clients_without_a_name_do_not_take_each_others_place() -> None:
    async with running_backend() as backend:
        for number in (1, 2):
            uri = f"ws://127.0.0.1:{backend.port}/alice?name="
            backend.clients.append(await open_client(uri))
            await eventually(lambda number=number: len(backend.manager.connections) == number)
        assert [connection.name for connection in backend.manager.connections] == [None, None]


async def test_sockets_that_the_application_reads_itself_work_too() -> None:
    manager = UnifiedWebSocketManager(delivery_timeout=0.2)
    accepted: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def handler(websocket: ServerConnection) -> None:
        accepted.put_nowait(websocket)
        await websocket.wait_closed()

    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        alice = await open_client(f"ws://127.0.0.1:{port}")
        alice.never_pong()
        websocket = await accepted.get()
        connection_id = await manager.add_connection("alice", websocket, connection_id="socket-1")
        assert manager.get_user_connections("alice") == ["socket-1"]
        with pytest.raises(ValueError, match="connection_id has 300 characters"):
            await manager.add_connection("alice", websocket, connection_id="x" * 300)
        with pytest.raises(ValueError, match="user_id"):
            await manager.add_connection(" ", websocket)
        receipt = await manager.emit_critical_event("alice", "agent_started", {})
        await alice.send({"type": "ack", "event_id": (await alice.event())["event_id"]})
        assert manager.receive(connection_id, await websocket.recv())
        assert (await receipt.outcome()).status is DeliveryStatus.ACKED
        held = await manager.emit_critical_event("alice", "agent_completed", {})
        await manager.remove_connection(connection_id)
        assert (await held.outcome()).status is DeliveryStatus.INTERRUPTED
        await manager.add_connection("alice", websocket)
        alice.reset()
        await eventually(lambda: not manager.get_connection_health("alice").connections)
        await manager.aclose()
        with pytest.raises(ConnectionLimitError, match="closing"):
            await manager.add_connection("alice", websocket)
        await alice.close()


async def test_other_messages_of_the_client_reach_the_application() -> None:
    manager = UnifiedWebSocketManager()
    heard: list[str | bytes] = []

    async def on_message(message: str | bytes) -> None:
        heard.append(message)

    async def handler(websocket: ServerConnection) -> None:
        await manager.serve_connection("alice", websocket, on_message=on_message)

    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_socket(f"ws://127.0.0.1:{port}") as alice:
            await alice.send("hello")
            await alice.send('{"type": "ack", "event_id": "x"}')
            await alice.send('{"type": "chat"}')
            await eventually(lambda: heard == ["hello", '{"type": "chat"}'])
        await manager.aclose()


def test_a_manager_can_be_made_without_a_running_loop() -> None:
    assert not UnifiedWebSocketManager().is_connection_active("alice")


@pytest.mark.parametrize(
    "wrong",
    [
        *("delivery_timeout", "max_queue", "max_inflight", "max_timeouts", "max_connections_per_user"),
        *("close_timeout", "reconnect_grace", "max_ignored_acks", "max_event_bytes", "max_parked"),
    ],
)
def test_limits_that_make_no_sense_are_refused_by_name(wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        UnifiedWebSocketManager(**{wrong: 0})  # type: ignore[arg-type]
