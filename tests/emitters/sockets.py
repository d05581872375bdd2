"""Real sockets for the tests: a back end with its manager, and clients that misbehave on request."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import Event

from controller.emitters import DeliveryStatus, UnifiedWebSocketManager

PATIENCE_S = 10.0


async def eventually(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110 -- what is waited for does not announce itself
            await asyncio.sleep(0.002)


class Hearing(ClientConnection):
    """A connection that keeps every event as it comes, before anybody asks for it."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.events: list[dict[str, Any]] = []
        self.on_event: Callable[[dict[str, Any]], None] = lambda _event: None

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
            self.events.append(json.loads(bytes(event.data)))
            self.on_event(self.events[-1])
        super().process_event(event)


async def open_client(uri: str, **settings: Any) -> Client:
    """A new peer."""
    connection = await open_socket(uri, create_connection=Hearing, **settings)
    assert isinstance(connection, Hearing)
    return Client(connection)


class Client:
    """One peer. It reads and answers pings until it is told not to."""

    def __init__(self, connection: Hearing) -> None:
        self.connection = connection
        #: All events that have come, at the latest when the ping behind them has been answered.
        self.received = connection.events
        self.acknowledges = False
        connection.on_event = self._hear
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while True:
                await self.connection.recv()
        except ConnectionClosed:
            pass

    def _hear(self, event: dict[str, Any]) -> None:
        if self.acknowledges:
            self._ack(event)

    def never_pong(self) -> None:
        """Read everything and answer no ping, so that only an acknowledgement proves receipt."""
        protocol = self.connection.protocol
        send_frame = protocol.send_frame

        def without_pongs(frame: Frame) -> None:
            if frame.opcode is not Opcode.PONG:
                send_frame(frame)

        protocol.send_frame = without_pongs  # type: ignore[method-assign]

    def pong_again(self) -> None:
        """Answer pings like any client."""
        del self.connection.protocol.send_frame

    def acknowledge(self) -> None:
        """From now on acknowledge every event that has come or comes."""
        self.acknowledges = True
        for event in self.received:
            self._ack(event)

    def _ack(self, event: dict[str, Any]) -> None:
        self.connection.protocol.send_text(json.dumps({"type": "ack", "event_id": event["event_id"]}).encode())
        self.connection.send_data()

    def stop_reading(self) -> None:
        """Leave everything in the socket's buffer."""
        self.connection.transport.pause_reading()  # type: ignore[attr-defined]

    def read_on(self) -> None:
        """Read what has piled up."""
        self.connection.transport.resume_reading()  # type: ignore[attr-defined]

    async def send(self, message: dict[str, Any] | str) -> None:
        """Send a message as text."""
        await self.connection.send(message if isinstance(message, str) else json.dumps(message))

    async def event(self, position: int = 0) -> dict[str, Any]:
        """Wait for the event at a position."""
        await eventually(lambda: len(self.received) > position)
        return self.received[position]

    def say_goodbye(self, code: int | None = 1000) -> None:
        """Send a close frame without waiting for the answer."""
        self.connection.protocol.send_close(code)
        self.connection.send_data()

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        raw = self.connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.transport.abort()

    async def close(self) -> None:
        """End this peer and its reader, however it is."""
        self.connection.transport.abort()
        self.reader.cancel()
        await asyncio.gather(self.reader, return_exceptions=True)


class Backend:
    """A server whose users are named by the path they connect to."""

    def __init__(self, manager: UnifiedWebSocketManager, server: Server) -> None:
        self.manager = manager
        self.server = server
        self.clients: list[Client] = []

    @property
    def recorder_statuses(self) -> list[DeliveryStatus]:
        return [outcome.status for outcome in self.manager.recorder.outcomes()]

    @property
    def port(self) -> int:
        return int(self.server.sockets[0].getsockname()[1])

    async def connect(
        self, user_id: str, name: str = "", *, port: int = 0, source: str = "127.0.0.1", **settings: Any
    ) -> Client:
        """A new peer of this user, registered with the manager; under a name of its own if one is given."""
        known = set(self.manager.connections)
        path = f"{quote(user_id, safe='')}?name={quote(name)}"
        uri = f"ws://127.0.0.1:{port or self.port}/{path}"
        options = {"ping_interval": None, "max_queue": None, "local_addr": (source, 0), **settings}
        client = await open_client(uri, **options)
        self.clients.append(client)
        await eventually(lambda: user_id in {new.user_id for new in set(self.manager.connections) - known})
        return client

    async def written(self, user_id: str, events: int = 1) -> None:
        """Wait until so many events are on the wire and unconfirmed."""
        await eventually(lambda: self.manager.get_connection_health(user_id).in_flight == events)


@asynccontextmanager
async def running_backend(**settings: Any) -> AsyncIterator[Backend]:
    """A back end on an ephemeral port. At its end no task may be left."""
    before = asyncio.all_tasks()
    manager = UnifiedWebSocketManager(**{"close_timeout": 0.2, **settings})

    async def handler(websocket: ServerConnection) -> None:
        assert websocket.request is not None
        asked = urlsplit(websocket.request.path)
        name = parse_qs(asked.query, keep_blank_values=True).get("name", [None])[0]
        await manager.serve_connection(unquote(asked.path[1:]), websocket, connection_id=name)

    async with serve(handler, "127.0.0.1", 0, ping_interval=None, close_timeout=0.2, compression=None) as server:
        backend = Backend(manager, server)
        try:
            yield backend
        finally:
            await manager.aclose()
            for client in backend.clients:
                await client.close()
    await eventually(lambda: not asyncio.all_tasks() - before - {asyncio.current_task()})
