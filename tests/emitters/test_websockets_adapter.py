"""Frames written and pongs read past the library's own way: what must not differ from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
from websockets.asyncio.server import ServerConnection, serve

from controller.emitters import DeliveryStatus, UnifiedWebSocketManager
from controller.emitters.limits import Limits
from controller.emitters.registry import ConnectionRegistry
from controller.emitters.websockets_adapter import PongListener
from tests.emitters.sockets import Backend, eventually, open_socket


@asynccontextmanager
async def raw_peer(
    manager: UnifiedWebSocketManager,
) -> AsyncIterator[tuple[ServerConnection, asyncio.StreamReader, asyncio.StreamWriter]]:
    """Alice's socket on the server, and the bytes at her end."""
    accepted: asyncio.Queue[ServerConnection] = asyncio.Queue()
    heard: list[str | bytes] = []

    async def handler(websocket: ServerConnection) -> None:
        accepted.put_nowait(websocket)

        async def hear(message: str | bytes) -> None:
            heard.append(message)

        await manager.serve_connection("alice", websocket, on_message=hear)

    async with serve(handler, "127.0.0.1", 0, ping_interval=None, close_timeout=0.2) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        websocket = await accepted.get()
        await eventually(lambda: manager.is_connection_active("alice"))
        websocket.heard = heard  # type: ignore[attr-defined]
        try:
            yield websocket, reader, writer
        finally:
            await manager.aclose()
            writer.close()
            await writer.wait_closed()


def pong(payload: bytes, mask: bytes = b"\x01\x23\x45\x67") -> bytes:
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes((0x8A, 0x80 | len(payload))) + mask + masked


async def ping_of(reader: asyncio.StreamReader) -> bytes:
    """The number in the next ping, whatever text comes before it."""
    while True:
        kind, length = await reader.readexactly(2)
        if length >= 126:
            length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
        payload = await reader.readexactly(length)
        if kind == 0x89:
            return payload


@pytest.mark.parametrize("length", [0, 60, 61, 62, 63, 200, 65_400, 65_470, 65_480, 70_000])
async def test_frames_of_every_length_reach_the_peer_whole(backend: Backend, length: int) -> None:
    alice = await backend.connect("alice")
    receipts = [await backend.manager.emit_critical_event("alice", "x", {"text": "a" * length}) for _ in range(3)]
    assert [(await receipt.outcome()).status for receipt in receipts] == [DeliveryStatus.CONFIRMED] * 3
    assert [event["data"]["text"] for event in alice.received] == ["a" * length] * 3


@pytest.mark.parametrize("at", [125, 126, 65_535, 65_536])
async def test_the_length_of_a_frame_is_told_right_at_each_border(backend: Backend, at: int) -> None:
    alice = await backend.connect("alice")
    [connection] = backend.manager.connections
    read = asyncio.Event()
    text = '{"text":"' + "a" * (at - 11) + '"}'
    connection.socket.write([text.encode()], read.set)
    await read.wait()
    assert (len(text), alice.received) == (at, [{"text": "a" * (at - 11)}])


@pytest.mark.parametrize("parts", ["alone", "bytewise", "with a message", "after a message", "twice"])
async def test_a_pong_proves_however_its_bytes_arrive(parts: str) -> None:
    manager = UnifiedWebSocketManager()
    async with raw_peer(manager) as (websocket, reader, writer):
        receipt = await manager.emit_critical_event("alice", "x", {})
        answer = pong(await ping_of(reader))
        message = b"\x81\x85\x00\x00\x00\x00hello"
        if parts == "bytewise":
            for byte in answer:
                writer.write(bytes((byte,)))
                await asyncio.sleep(0)
        elif parts == "with a message":
            writer.write(message + answer)
        elif parts == "after a message":
            writer.write(message)
            await eventually(lambda: websocket.heard == ["hello"])  # type: ignore[attr-defined]
            writer.write(answer)
        else:
            writer.write(answer * (1 + (parts == "twice")))
        assert (await receipt.outcome()).status is DeliveryStatus.CONFIRMED
        assert manager.recorder.counters().delivered == 1
        writer.write(message)
        await eventually(lambda: "hello" in websocket.heard)  # type: ignore[attr-defined]


async def test_a_pong_of_the_latest_ping_proves_everything_before_it() -> None:
    manager = UnifiedWebSocketManager()
    async with raw_peer(manager) as (_, reader, writer):
        receipts = []
        for _ in range(3):
            receipts.append(await manager.emit_critical_event("alice", "x", {}))
            latest = await ping_of(reader)
        writer.write(pong(latest))
        assert [(await receipt.outcome()).status for receipt in receipts] == [DeliveryStatus.CONFIRMED] * 3


async def test_a_pong_that_nobody_asked_for_proves_nothing() -> None:
    manager = UnifiedWebSocketManager(delivery_timeout=0.3)
    async with raw_peer(manager) as (_, reader, writer):
        receipt = await manager.emit_critical_event("alice", "x", {})
        asked = int.from_bytes(await ping_of(reader), "big")
        writer.write(pong((asked + 1).to_bytes(8, "big")) + pong(b"") + pong(b"12345678"))
        writer.write(pong((asked + 7).to_bytes(8, "big")))
        assert (await receipt.outcome()).status is DeliveryStatus.TIMEOUT


async def test_a_pong_after_the_peers_close_frame_proves_nothing() -> None:
    manager = UnifiedWebSocketManager(reconnect_grace=0.05, replay_window=0)
    async with raw_peer(manager) as (_, reader, writer):
        receipt = await manager.emit_critical_event("alice", "x", {})
        answer = pong(await ping_of(reader))
        writer.write(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
        await eventually(lambda: not manager.is_connection_active("alice"))
        writer.write(answer)
        assert (await receipt.outcome()).status is DeliveryStatus.LEFT


async def test_who_pings_by_himself_is_told_how_long_the_pong_took() -> None:
    async with raw_peer(UnifiedWebSocketManager()) as (websocket, reader, writer):
        answered = await websocket.ping(b"8 bytes!")
        writer.write(pong(await ping_of(reader)))
        assert await answered > 0


async def test_a_socket_that_is_registered_again_has_one_listener() -> None:
    manager = UnifiedWebSocketManager()
    async with raw_peer(manager) as (websocket, _, _writer):
        listener = websocket.transport.get_protocol()
        assert isinstance(listener, PongListener)
        await manager.add_connection("bob", websocket)
        assert websocket.transport.get_protocol() is listener


def test_uvloop_hands_pongs_to_the_listener_too() -> None:
    async def play() -> None:
        manager = UnifiedWebSocketManager()
        async with raw_peer(manager) as (websocket, reader, writer):
            assert isinstance(websocket.transport.get_protocol(), PongListener)
            for _ in range(3):
                receipt = await manager.emit_critical_event("alice", "x", {})
                writer.write(pong(await ping_of(reader)))
                assert (await receipt.outcome()).delivered

    uvloop.run(play())


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_only_sockets_whose_frames_are_plain_leave_the_librarys_way(compression: str | None) -> None:
    manager = UnifiedWebSocketManager()
    accepted: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def handler(websocket: ServerConnection) -> None:
        accepted.put_nowait(websocket)
        await manager.serve_connection("alice", websocket)

    async with serve(handler, "127.0.0.1", 0, compression=compression) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_socket(f"ws://127.0.0.1:{port}", compression=compression) as alice:
            websocket = await accepted.get()
            await eventually(lambda: manager.is_connection_active("alice"))
            assert isinstance(websocket.transport.get_protocol(), PongListener) == (compression is None)
            receipt = await manager.emit_critical_event("alice", "x", {"n": 1})
            assert '"n":1' in str(await alice.recv())
            assert (await receipt.outcome()).delivered
        await manager.aclose()


async def test_a_connection_that_cannot_be_written_to_costs_the_others_of_its_turn_nothing() -> None:
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, why: told.append(why))
    registry = ConnectionRegistry(Limits(), lambda: 0.0)
    written: list[int] = []

    def flush(number: int) -> None:
        if number == 1:
            raise RuntimeError("a bug")
        written.append(number)

    for number in range(3):
        connection: Any = SimpleNamespace(flush=lambda number=number: flush(number))
        registry.flush_soon(connection, loop)
    await asyncio.sleep(0)
    assert (written, [str(why["exception"]) for why in told]) == ([0, 2], ["a bug"])
