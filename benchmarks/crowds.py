"""What the benchmarks of the emitters share: a server in this process, its peers in another one, and a pace."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.peers import tell
from controller.emitters import CRITICAL_EVENTS, UnifiedWebSocketManager

DATA: dict[str, Any] = {
    "agent_name": "planner",
    "thought": "what could they mean by that? " * 4,
    "metadata": {"step_number": 3, "model": "large"},
}
USERS, RATE = 200, 5


class Peers:
    """The other process: opens connections on request and says what it has received."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def order(self, **what: Any) -> dict[str, Any]:
        """Give an order and wait for the answer. Not from the server's loop: see `asked`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        tell(self._process.stdin, what)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    async def asked(self, **what: Any) -> dict[str, Any]:
        return await asyncio.to_thread(lambda: self.order(**what))


class Bench:
    """A server in this process, with its accepted sockets by user, and the peers in another one."""

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.port = 0
        self.accepted: dict[str, ServerConnection] = {}
        self.manager: UnifiedWebSocketManager | None = None

    async def handler(self, websocket: ServerConnection) -> None:
        assert websocket.request is not None
        user_id = websocket.request.path[1:]
        self.accepted[user_id] = websocket
        if self.manager is None:
            with suppress(ConnectionClosed):
                async for _ in websocket:
                    pass
        else:
            await self.manager.serve_connection(user_id, websocket)

    async def open(self, users: int, name: str = "user") -> None:
        """So many users connect, beside those who are there."""
        wanted = len(self.accepted) + users
        await self.peers.asked(do="open", port=self.port, users=users, name=name)
        while len(self.accepted) < wanted:  # noqa: ASYNC110 - a benchmark
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        if self.manager is not None:
            await self.manager.aclose()
        await self.peers.asked(do="close")
        self.accepted.clear()
        self.manager = None
        gc.collect()


@asynccontextmanager
async def bench(peers: Peers) -> AsyncIterator[Bench]:
    here = Bench(peers)
    async with serve(here.handler, "127.0.0.1", 0, compression=None, ping_interval=None, max_queue=None) as server:
        here.port = next(iter(server.sockets)).getsockname()[1]
        yield here


def resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def at(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def table(title: str, head: str, rows: list[str]) -> None:
    columns = head.count("|") - 1
    print(f"\n### {title}\n\n{head}\n|{'---|' * columns}")
    print("\n".join(rows), flush=True)


async def pace(emitters: list[Any], seconds: float, took: list[float]) -> None:
    """Each emitter at its own moments, spread evenly; the five events in turn."""
    began, clock = time.perf_counter(), time.perf_counter_ns
    every = 1 / RATE
    count = int(seconds * RATE)

    async def one(number: int, emitter: Any) -> None:
        due = began + 0.2 + every * number / len(emitters)
        for event in range(count):
            await asyncio.sleep(due - time.perf_counter())
            started = clock()
            await emitter.emit(CRITICAL_EVENTS[event % 5], DATA)
            took.append((clock() - started) / 1e3)
            due += every

    await asyncio.gather(*(one(number, emitter) for number, emitter in enumerate(emitters)))


async def pace_in_slices(emitters: list[Any], rate: int, seconds: float, took: list[float]) -> float:
    """So many events a second for each emitter, in slices of 10 ms: a timer per event costs more than the event.

    Returns by how many milliseconds the latest slice came too late.
    """
    clock = time.perf_counter_ns
    slices = 100
    per_slice = len(emitters) * rate // slices
    began, late, turn = time.perf_counter(), 0.0, 0
    for step in range(int(seconds * slices)):
        due = began + step / slices
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        late = max(late, time.perf_counter() - due)
        for _ in range(per_slice):
            started = clock()
            await emitters[turn].emit("agent_thinking", DATA)
            took.append((clock() - started) / 1e3)
            turn = (turn + 1) % len(emitters)
    return late * 1e3
