"""What the emitters cost and hold: emission, confirmed delivery, memory, and the legacy path, beside bare `websockets`.

    python -m benchmarks.emitters [emit] [throughput] [memory] [crowd] [legacy] [--quick] [--uvloop]

Without a name everything is measured, in about five minutes. Server and peers are two processes that share the
machine; peers read, answer pings and do nothing else. Ratios compare runs of the same process within seconds. CPU is
that of the server's process. `crowd` needs 11,000 file descriptors (`ulimit -n`).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from openfeature import api
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.peers import tell
from controller.client import DeliveryReporter
from controller.emitters import (
    CRITICAL_EVENTS,
    DeliveryOutcome,
    EmitterRouter,
    LegacyBridgeEmitter,
    LegacyFactoryEmitter,
    UnifiedWebSocketEmitter,
    UnifiedWebSocketManager,
    UserExecutionContext,
    connect,
)
from controller.emitters.sanitise import sanitised

DATA: dict[str, Any] = {
    "agent_name": "planner",
    "thought": "what could they mean by that? " * 4,
    "metadata": {"step_number": 3, "model": "large"},
}
USERS, RATE = 200, 5
CROWD = 10_000


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


# ---- what emit() costs while 200 users receive 5 events a second each


async def emit(here: Bench, seconds: float) -> None:
    labels = ("unified emitter", "routed", "routed, reported", "legacy bridge", "legacy factory")
    rows = [await _emission(here, label, seconds) for label in labels]
    table(
        f"emit() while {USERS} users receive {RATE} events/s each",
        "| emitter | emit p50 us | p99 us | p99.9 us | confirmed p50 ms | p99 ms | delivered |",
        rows,
    )


async def _emission(here: Bench, label: str, seconds: float) -> str:
    latencies: list[float] = []
    manager = here.manager = UnifiedWebSocketManager()
    manager.recorder.add_listener(lambda outcome: latencies.append(outcome.latency_ms or 0))
    await here.open(USERS)
    reporter, make = _emitters(label, manager, here)
    emitters = [make(UserExecutionContext(f"user-{number}", "thread")) for number in range(USERS)]
    took: list[float] = []
    await _pace(emitters, seconds, took)
    await manager.recorder.all_settled()
    counters = manager.recorder.counters()
    await here.close()
    if reporter is not None:
        await asyncio.to_thread(reporter.close)
    return (
        f"| {label} | {at(took, 0.5):.1f} | {at(took, 0.99):.1f} | {at(took, 0.999):.1f} "
        f"| {at(latencies, 0.5):.1f} | {at(latencies, 0.99):.1f} | {counters.delivered:,} of {counters.attempted:,} |"
    )


def _emitters(
    label: str, manager: UnifiedWebSocketManager, here: Bench
) -> tuple[DeliveryReporter | None, Callable[[UserExecutionContext], Any]]:
    if label.startswith("legacy"):
        of = LegacyBridgeEmitter if label.endswith("bridge") else LegacyFactoryEmitter
        return None, lambda context: of(manager, context)
    if label == "unified emitter":
        return None, lambda context: UnifiedWebSocketEmitter.create_user_emitter(manager, context)
    flag = InMemoryFlag("unified", {"unified": True, "legacy": False})
    api.set_provider_and_wait(InMemoryProvider({"unified-websocket-emitter": flag}))
    router = EmitterRouter(api.get_client(), manager)
    if label == "routed":
        return None, router.emitter_for
    reporter = DeliveryReporter(here.peers.order(do="sink")["url"], "token")
    connect(manager.recorder, router, reporter)
    reporter.start()
    return reporter, router.emitter_for


async def _pace(emitters: list[Any], seconds: float, took: list[float]) -> None:
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


# ---- confirmed events a second on one connection


async def throughput(here: Bench, events: int, rounds: int) -> None:
    ways: dict[str, Callable[[ServerConnection, int], Awaitable[None]]] = {
        "bare websockets, a ping per 64 frames": lambda socket, n: _bare(socket, n, 64),
        "bare websockets, a pong awaited per event": lambda socket, n: _bare(socket, n // 8, 1),
    }
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        await here.open(1)
        for label, way in ways.items():
            n = events if "64" in label else events // 8
            began = time.perf_counter()
            await way(here.accepted["user-0"], events)
            rates.setdefault(label, []).append(n / (time.perf_counter() - began))
        await here.close()
        for label, variant in (("unified emitter", "unified"), ("legacy bridge", "legacy")):
            rates.setdefault(label, []).append(await _flat_out(here, events, variant))
    middle = {label: statistics.median(found) for label, found in rates.items()}
    batched, single = (middle[label] for label in ways)
    table(
        "Confirmed events/s on one connection, flat out",
        "| way | events/s | x a ping per 64 | x a pong per event |",
        [f"| {label} | {rate:,.0f} | {rate / batched:.2f} | {rate / single:.1f} |" for label, rate in middle.items()],
    )


async def _bare(websocket: ServerConnection, events: int, batch: int) -> None:
    for _ in range(0, events, batch):
        for number in range(batch):
            frame = {"type": "agent_thinking", "event_id": f"{number:032x}", "data": DATA, "critical": True}
            await websocket.send(json.dumps(frame))
        await (await websocket.ping())


async def _flat_out(here: Bench, events: int, variant: str) -> float:
    manager = here.manager = UnifiedWebSocketManager()
    await here.open(1)
    context = UserExecutionContext("user-0", "thread")
    emitter: Any = UnifiedWebSocketEmitter(manager, "user-0", context)
    if variant == "legacy":
        emitter = LegacyBridgeEmitter(manager, context)
    began = time.perf_counter()
    for number in range(events):
        if number % 64 == 0:
            while manager.get_connection_health("user-0").queued > 128:  # noqa: ASYNC110 - a benchmark
                await asyncio.sleep(0)
        await emitter.emit("agent_thinking", DATA)
    await manager.recorder.all_settled()
    rate = events / (time.perf_counter() - began)
    counters = manager.recorder.counters()
    assert counters.delivered == events, counters
    await here.close()
    return rate


# ---- memory of an idle connection


async def memory(here: Bench, users: int) -> None:
    rows = []
    await here.open(users, "warm-up")
    for label in ("bare websockets", "through the manager"):  # all stay open, so that no memory is used twice
        here.manager = UnifiedWebSocketManager() if label.startswith("through") else None
        gc.collect()
        before = resident_kib()
        await here.open(users, label.split()[0])
        gc.collect()
        rows.append(f"| {label} | {(resident_kib() - before) / users:.1f} |")
    await here.close()
    table(f"Memory of an idle connection ({users:,} of them)", "| connection | KiB |", rows)


# ---- ten thousand connections with an event a second each


async def crowd(here: Bench, users: int, seconds: float) -> None:
    manager = here.manager = UnifiedWebSocketManager()
    latencies: list[float] = []
    classes: dict[str, int] = {}

    def settled(outcome: DeliveryOutcome) -> None:
        classes[outcome.status.value] = classes.get(outcome.status.value, 0) + 1
        if len(latencies) < 1_000_000:
            latencies.append(outcome.latency_ms or 0)

    manager.recorder.add_listener(settled)
    empty = resident_kib()
    await here.open(users)
    gc.collect()
    gc.freeze()  # what a server does with what it keeps; without it each full collection walks all connections
    idle = resident_kib()
    emitters = [UnifiedWebSocketEmitter(manager, f"user-{number}") for number in range(users)]
    took: list[float] = []
    late = await _crowd_pace(emitters, seconds, took)
    await manager.recorder.all_settled()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counters = manager.recorder.counters()
    received = (await here.peers.asked(do="count"))["frames"]
    gc.unfreeze()
    await here.close()
    head = (
        "| attempted | outcomes | received by peers | emit p50 us | p99 us | confirmed p50 ms | p99 ms "
        "| KiB/connection idle | KiB/connection at the peak | latest event behind its time ms |"
    )
    row = (
        f"| {counters.attempted:,} | {classes} | {received:,} | {at(took, 0.5):.1f} | {at(took, 0.99):.1f} "
        f"| {at(latencies, 0.5):.1f} | {at(latencies, 0.99):.1f} | {(idle - empty) / users:.1f} "
        f"| {(peak - empty) / users:.1f} | {late:.0f} |"
    )
    table(f"{users:,} connections, an event a second each, {seconds:g} s", head, [row])


async def _crowd_pace(emitters: list[Any], seconds: float, took: list[float]) -> float:
    """All users in each second, in slices of 10 ms: a timer per user would cost more than the events."""
    clock = time.perf_counter_ns
    slices = 100
    per_slice = len(emitters) // slices
    began, late = time.perf_counter(), 0.0
    for step in range(int(seconds * slices)):
        due = began + step / slices
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        late = max(late, time.perf_counter() - due)
        first = step % slices * per_slice
        for emitter in emitters[first : first + per_slice]:
            started = clock()
            await emitter.emit("agent_thinking", DATA)
            took.append((clock() - started) / 1e3)
    return late * 1e3


# ---- the legacy path, bare and through the manager


class BareLegacyBridge:
    """What the agent bridge did, and nothing else: sanitise, envelope, JSON, one awaited send under the user's lock."""

    def __init__(self, websocket: ServerConnection, context: UserExecutionContext) -> None:
        self._websocket, self._context, self._lock = websocket, context, asyncio.Lock()

    async def emit(self, event_type: str, data: dict[str, Any]) -> bool:
        payload = {"reasoning" if name == "thought" else name: value for name, value in data.items()}
        agent_name = payload.pop("agent_name", "")
        message = {
            "type": event_type,
            "run_id": self._context.run_id,
            "user_id": self._context.user_id,
            "agent_name": agent_name,
            "timestamp": datetime.now(UTC).isoformat(),  # noqa: TID251 - as the original does
            "payload": sanitised(payload),
        }
        async with self._lock:
            await self._websocket.send(json.dumps(message))
        return True


async def legacy(here: Bench, events: int, seconds: float, rounds: int) -> None:
    figures: dict[str, list[tuple[float, float, float]]] = {"bare": [], "through the manager": []}
    for _ in range(rounds):
        for label, found in figures.items():
            found.append(await _legacy_costs(here, label, events, seconds))
    bare, ours = ([statistics.median(column) for column in zip(*found, strict=True)] for found in figures.values())
    names = (
        "caller waits, us/event, paced",
        "CPU of the server, us/event, flat out on one connection",
        f"CPU of the server, us/event, {USERS} users at {RATE} events/s",
    )
    table(
        "The legacy path (agent bridge)",
        "| cost | bare | through the manager | ratio |",
        [f"| {name} | {a:.1f} | {b:.1f} | {b / a:.2f} |" for name, a, b in zip(names, bare, ours, strict=True)],
    )


async def _legacy_costs(here: Bench, label: str, events: int, seconds: float) -> tuple[float, float, float]:
    here.manager = None if label == "bare" else UnifiedWebSocketManager(max_queue=100_000)
    await here.open(USERS)
    emitters = [_legacy_emitter(here, f"user-{number}") for number in range(USERS)]
    cpu = time.process_time()
    for number in range(events):
        await emitters[0].emit("agent_thinking", DATA)
        if number % 64 == 0:
            await asyncio.sleep(0)
    await _delivered(here, events)
    flat = (time.process_time() - cpu) / events * 1e6
    took: list[float] = []
    idle = await _idle_pace(seconds)
    cpu = time.process_time()
    await _pace(emitters, seconds, took)
    await _delivered(here, events + len(took))
    paced = (time.process_time() - cpu - idle) / len(took) * 1e6
    await here.close()
    return at(took, 0.5), flat, paced


def _legacy_emitter(here: Bench, user_id: str) -> Any:
    context = UserExecutionContext(user_id, "thread")
    if here.manager is None:
        return BareLegacyBridge(here.accepted[user_id], context)
    return LegacyBridgeEmitter(here.manager, context)


async def _delivered(here: Bench, events: int) -> None:
    if here.manager is not None:
        await here.manager.recorder.all_settled()
        assert here.manager.recorder.counters().delivered == events
    while (await here.peers.asked(do="count"))["frames"] < events:  # noqa: ASYNC110 - a benchmark
        await asyncio.sleep(0.01)


async def _idle_pace(seconds: float) -> float:
    """What the pacing itself costs: CPU seconds."""

    class Nothing:
        async def emit(self, _event_type: str, _data: object) -> None:
            return

    cpu = time.process_time()
    await _pace([Nothing() for _ in range(USERS)], seconds, [])
    return time.process_time() - cpu


async def measure(arguments: argparse.Namespace, peers: Peers) -> None:
    quick = 4 if arguments.quick else 1
    async with bench(peers) as here:
        if "emit" in arguments.what:
            await emit(here, 20 / quick)
        if "throughput" in arguments.what:
            await throughput(here, 64_000 // quick, 3)
        if "memory" in arguments.what:
            await memory(here, 2_000 // quick)
        if "legacy" in arguments.what:
            await legacy(here, 32_000 // quick, 8 / quick, 3)
        if "crowd" in arguments.what:
            await crowd(here, CROWD, 20 / quick)


def main() -> None:
    """Start the peers, measure, end them."""
    parts = ("emit", "throughput", "memory", "legacy", "crowd")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", metavar="part", help=", ".join(parts))
    parser.add_argument("--quick", action="store_true", help="a quarter of the time, for a first impression")
    parser.add_argument("--uvloop", action="store_true", help="run the server on uvloop")
    arguments = parser.parse_args()
    unknown = set(arguments.what) - set(parts)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    arguments.what = arguments.what or parts
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 25_000)), hard))
    command = [sys.executable, "-m", "benchmarks.peers"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    run = uvloop.run if arguments.uvloop else asyncio.run
    try:
        run(measure(arguments, Peers(process)))
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)


if __name__ == "__main__":
    main()
