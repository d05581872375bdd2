"""FastAPI on uvicorn, with real sockets: by acknowledgements on any server, by pongs with the protocol for uvicorn."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from websockets.frames import Frame, Opcode

from controller.emitters import (
    ConnectionLimitError,
    DeliveryStatus,
    EmitReceipt,
    UnifiedWebSocketManager,
)
from controller.emitters.endings import of_asgi_disconnect
from tests.emitters.sockets import Client, eventually, open_client

PLAIN = "websockets-sansio"
PROVING = "controller.emitters.uvicorn_ws:ProvingProtocol"


class Site:
    """A FastAPI application with its manager."""

    def __init__(self, manager: UnifiedWebSocketManager, port: int) -> None:
        self.manager, self.port = manager, port
        self.clients: list[Client] = []
        self.heard: list[str | bytes] = []

    async def connect(self, user_id: str, path: str = "chat", name: str = "") -> Client:
        known = set(self.manager.connections)
        named = f"?client={name}" if name else ""
        uri = f"ws://127.0.0.1:{self.port}/{path}/{user_id}{named}"
        client = await open_client(uri, ping_interval=None)
        self.clients.append(client)
        await eventually(lambda: user_id in {new.user_id for new in set(self.manager.connections) - known})
        return client

    async def emit(self, user_id: str = "alice", **data: Any) -> EmitReceipt:
        return await self.manager.emit_critical_event(user_id, "agent_thinking", data)


def application(site: Site) -> FastAPI:
    app = FastAPI()

    @app.websocket("/chat/{user_id}")
    async def chat(websocket: WebSocket, user_id: str, client: str | None = None) -> None:
        async def on_message(message: str | bytes) -> None:
            site.heard.append(message)

        await websocket.accept()
        await site.manager.serve_connection(user_id, websocket, connection_id=client, on_message=on_message)

    @app.websocket("/own-reader/{user_id}")
    async def own_reader(websocket: WebSocket, user_id: str) -> None:
        await websocket.accept()
        connection_id = await site.manager.add_connection(user_id, websocket)
        try:
            while True:
                site.manager.receive(connection_id, await websocket.receive_text())
        except WebSocketDisconnect as end:
            await site.manager.remove_connection(connection_id, code=end.code)

    return app


@asynccontextmanager
async def serving(ws: str, **settings: Any) -> AsyncIterator[Site]:
    listening = socket.create_server(("127.0.0.1", 0))
    site = Site(UnifiedWebSocketManager(**{"close_timeout": 0.3, **settings}), listening.getsockname()[1])
    config = uvicorn.Config(application(site), ws=ws, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    await eventually(lambda: server.started)
    try:
        yield site
    finally:
        await site.manager.aclose()
        for client in site.clients:
            await client.close()
        server.should_exit = True
        await running


@pytest.mark.parametrize("ws", [PLAIN, PROVING])
async def test_a_client_that_acknowledges_is_proved_with_or_without_pings(ws: str) -> None:
    async with serving(ws) as site:
        alice, bob = await site.connect("alice"), await site.connect("bob")
        alice.acknowledge()
        await alice.send("hello")
        receipts = [await site.emit(n=number) for number in range(200)]
        outcomes = [await receipt.outcome() for receipt in receipts]
        assert DeliveryStatus.ACKED in {outcome.status for outcome in outcomes}
        assert all(outcome.delivered for outcome in outcomes)
        assert [event["data"]["n"] for event in alice.received] == list(range(200))
        assert (bob.received, site.heard) == ([], ["hello"])


async def test_a_client_without_any_code_is_proved_by_its_pongs_where_the_server_can_ping() -> None:
    async with serving(PROVING) as site:
        alice = await site.connect("alice")
        outcomes = [await (await site.emit(n=number)).outcome() for number in range(3)]
        assert {outcome.status for outcome in outcomes} == {DeliveryStatus.CONFIRMED}
        alice.never_pong()
        silent = await site.emit()
        await alice.event(3)
        alice.pong_again()
        # A pong of the latest ping answers those before it.
        assert (await (await site.emit()).outcome()).delivered
        assert (await silent.outcome()).delivered


async def test_a_pong_that_nobody_asked_for_proves_nothing() -> None:
    async with serving(PROVING, delivery_timeout=0.3) as site:
        alice = await site.connect("alice")
        alice.never_pong()
        receipt = await site.emit()
        await alice.event()
        del alice.connection.protocol.send_frame
        for forged in (b"", (9).to_bytes(8, "big"), b"\x00" * 8):
            alice.connection.protocol.send_frame(Frame(Opcode.PONG, forged))
        alice.connection.send_data()
        alice.never_pong()
        assert (await receipt.outcome()).status is DeliveryStatus.TIMEOUT


async def test_without_pings_a_client_that_does_not_acknowledge_times_out() -> None:
    async with serving(PLAIN, delivery_timeout=0.2) as site:
        await site.connect("alice")
        assert (await (await site.emit()).outcome()).status is DeliveryStatus.TIMEOUT


@pytest.mark.parametrize("ws", [PLAIN, PROVING])
@pytest.mark.parametrize(
    ("how", "status"),
    [("closes", DeliveryStatus.LEFT), ("resets", DeliveryStatus.CLOSED), ("errs", DeliveryStatus.CLOSED)],
)
async def test_the_end_of_a_connection_is_told_apart(ws: str, how: str, status: DeliveryStatus) -> None:
    async with serving(ws, replay_window=0) as site:
        alice = await site.connect("alice")
        alice.never_pong()
        receipt = await site.emit()
        await alice.event()
        if how == "closes":
            alice.say_goodbye(None)  # as ws.close() does in a browser
        elif how == "errs":
            alice.say_goodbye(1011)
        else:
            alice.reset()
        assert (await receipt.outcome()).status is status


async def test_the_clean_end_is_noticed_by_an_application_that_reads_by_itself() -> None:
    async with serving(PLAIN, replay_window=0) as site:
        alice = await site.connect("alice", "own-reader")
        acked = await site.emit()
        await alice.send({"type": "ack", "event_id": (await alice.event())["event_id"]})
        assert (await acked.outcome()).status is DeliveryStatus.ACKED
        receipt = await site.emit()
        await alice.event(1)
        alice.say_goodbye(1001)
        assert (await receipt.outcome()).status is DeliveryStatus.LEFT


@pytest.mark.parametrize("ws", [PLAIN, PROVING])
async def test_a_client_that_comes_back_under_its_name_gets_what_was_not_proved(ws: str) -> None:
    async with serving(ws) as site:
        alice = await site.connect("alice", name="tab-1")
        alice.never_pong()
        receipt = await site.emit()
        await alice.event()
        alice.reset()
        await eventually(lambda: site.manager.parked == 1)
        back = await site.connect("alice", name="tab-1")
        back.acknowledge()
        assert (await receipt.outcome()).delivered
        assert (await back.event())["event_id"] == receipt.event_id


@pytest.mark.parametrize("ws", [PLAIN, PROVING])
async def test_a_reader_that_stops_is_given_up_and_its_handler_ends(ws: str) -> None:
    async with serving(ws, delivery_timeout=0.3, max_timeouts=2) as site:
        alice = await site.connect("alice")
        alice.stop_reading()
        receipts = [await site.emit(blob="x" * 400_000) for _ in range(20)]
        outcomes = [await receipt.outcome() for receipt in receipts]
        assert {outcome.status for outcome in outcomes} == {DeliveryStatus.TIMEOUT}
        await eventually(lambda: site.manager.connections == [])


@pytest.mark.parametrize("ws", [PLAIN, PROVING])
async def test_what_is_in_flight_when_the_manager_closes_is_interrupted_and_the_client_is_told(ws: str) -> None:
    async with serving(ws) as site:
        alice = await site.connect("alice")
        alice.never_pong()
        receipt = await site.emit()
        await alice.event()
        await site.manager.aclose()
        assert (await receipt.outcome()).status is DeliveryStatus.INTERRUPTED
        await alice.reader
        assert alice.connection.close_code == 1001


async def test_a_user_with_too_many_connections_is_told_to_try_again_later() -> None:
    async with serving(PLAIN, max_connections_per_user=1) as site:
        await site.connect("alice")
        second = await open_client(f"ws://127.0.0.1:{site.port}/chat/alice")
        await second.reader
        assert second.connection.close_code == 1013


async def test_what_is_no_socket_is_refused_by_its_type() -> None:
    with pytest.raises(TypeError, match="object is no accepted socket"):
        await UnifiedWebSocketManager().add_connection("alice", object())  # type: ignore[arg-type]
    manager = UnifiedWebSocketManager()
    await manager.aclose()
    assert issubclass(ConnectionLimitError, RuntimeError)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"code": 1000, "reason": ""}, DeliveryStatus.LEFT),
        ({"code": 1005, "reason": ""}, DeliveryStatus.LEFT),
        ({"code": 1005}, DeliveryStatus.CLOSED),
        ({"code": 1006}, DeliveryStatus.CLOSED),
        ({"code": 1011, "reason": "oops"}, DeliveryStatus.CLOSED),
        ({"code": 1012}, DeliveryStatus.INTERRUPTED),
        ({}, DeliveryStatus.CLOSED),
    ],
)
def test_what_servers_say_of_an_end_is_understood(message: dict[str, Any], status: DeliveryStatus) -> None:
    assert of_asgi_disconnect(message).status is status
