"""The peers of benchmarks/emitters.py, in a process of their own: they read, answer pings and count.

Started by the benchmark; it takes orders as JSON lines on standard input and answers each with one on standard output.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import sys
from typing import Any, TextIO

import uvloop

_TEXT, _PING = 0x81, 0x89
_AT_ONCE = 200


def tell(where: TextIO, what: dict[str, Any]) -> None:
    """Write one line."""
    where.write(json.dumps(what) + "\n")
    where.flush()


class Peer(asyncio.Protocol):
    """A WebSocket client with just enough of RFC 6455: unmasked, unfragmented frames in, masked pongs out."""

    frames = 0

    def __init__(self, path: str) -> None:
        self._path = path
        self._buffer = bytearray()
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /{self._path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.opened.done():
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            assert self._buffer.startswith(b"HTTP/1.1 101"), bytes(self._buffer[:100])
            del self._buffer[: end + 4]
            self.opened.set_result(None)
        self._parse()

    def _parse(self) -> None:
        buffer, start, pongs = self._buffer, 0, b""
        while len(buffer) - start >= 2:
            size, head = buffer[start + 1], 2
            if size == 126:
                if len(buffer) - start < 4:
                    break
                size, head = int.from_bytes(buffer[start + 2 : start + 4], "big"), 4
            if len(buffer) - start < head + size:
                break
            kind = buffer[start]
            if kind == _TEXT:
                Peer.frames += 1
            elif kind == _PING:  # a mask of zeros leaves the payload as it is
                pongs += bytes((0x8A, 0x80 | size, 0, 0, 0, 0)) + buffer[start + head : start + head + size]
            start += head + size
        del buffer[:start]
        if pongs:
            self.transport.write(pongs)


class Crowd:
    """All peers of this process, and a place that takes reports."""

    def __init__(self) -> None:
        self._peers: list[Peer] = []
        self._sink: asyncio.Server | None = None

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        what = order["do"]
        if what == "open":
            await self._open(order["port"], order["users"], order["name"])
        elif what == "close":
            for peer in self._peers:
                peer.transport.abort()
            self._peers.clear()
            Peer.frames = 0
        elif what == "sink":
            return {"url": await self._sink_url()}
        return {"frames": Peer.frames}

    async def _open(self, port: int, users: int, name: str) -> None:
        loop = asyncio.get_running_loop()
        for first in range(0, users, _AT_ONCE):
            peers = [Peer(f"{name}-{number}") for number in range(first, min(first + _AT_ONCE, users))]
            await asyncio.gather(*(loop.create_connection(lambda p=peer: p, "127.0.0.1", port) for peer in peers))
            await asyncio.gather(*(peer.opened for peer in peers))
            self._peers += peers

    async def _sink_url(self) -> str:
        if self._sink is None:
            self._sink = await asyncio.start_server(_take_reports, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._sink.sockets[0].getsockname()[1]}"


async def _take_reports(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Acknowledge every report, as a controller with nothing else to do."""
    body = b'{"batch": "", "duplicate": false, "revision": 0}'
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Obey until standard input ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        tell(sys.stdout, await crowd.obey(json.loads(line)))


if __name__ == "__main__":
    uvloop.run(main())
