"""What the emitters cost and hold: emission, confirmed delivery, memory, and the legacy path, beside bare `websockets`.

    python -m benchmarks.emitters [emit] [throughput] [memory] [crowd] [legacy] [--quick] [--uvloop]

Without a name everything is measured, in about fourteen minutes. Server and peers are two processes that share the
machine; peers read, answer pings and do nothing else. Ratios compare runs of the same process within seconds. CPU is
that of the server's process. `crowd` needs 11,000 file descriptors (`ulimit -n`).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop
from openfeature import api
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from websockets.asyncio.server import ServerConnection

from benchmarks.crowds import DATA, RATE, USERS, Bench, Peers, at, bench, pace, pace_in_slices, resident_kib, table
from benchmarks.emitters_legacy import legacy
from controller.client import DeliveryReporter
from controller.emitters import (
    DeliveryOutcome,
    EmitterRouter,
    LegacyBridgeEmitter,
    LegacyFactoryEmitter,
    UnifiedWebSocketEmitter,
    UnifiedWebSocketManager,
    UserExecutionContext,
    connect,
)

CROWD = 10_000


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
    await pace(emitters, seconds, took)
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


# ---- confirmed events a second on one connection


async def throughput(here: Bench, events: int, rounds: int) -> None:
    ways: dict[str, Callable[[ServerConnection, int], Awaitable[None]]] = {
        "bare websockets, a ping per 64 frames": lambda socket, n: _bare(socket, n, 64),
        "bare websockets, a pong awaited per event": lambda socket, n: _bare(socket, n // 8, 1),
    }
    rates: dict[str, list[float]] = {}
    emits: dict[str, float] = {}
    for _ in range(rounds):
        await here.open(1)
        for label, way in ways.items():
            n = events if "64" in label else events // 8
            began = time.perf_counter()
            await way(here.accepted["user-0"], events)
            rates.setdefault(label, []).append(n / (time.perf_counter() - began))
        await here.close()
        for label, variant in (("unified emitter", "unified"), ("legacy bridge", "legacy")):
            rate, emits[label] = await _flat_out(here, events, variant)
            rates.setdefault(label, []).append(rate)
    middle = {label: statistics.median(found) for label, found in rates.items()}
    batched, single = (middle[label] for label in ways)
    table(
        "Confirmed events/s on one connection, flat out",
        "| way | events/s | x a ping per 64 | x a pong per event | emit p50 us |",
        [
            f"| {label} | {rate:,.0f} | {rate / batched:.2f} | {rate / single:.1f} | {_or_nothing(emits.get(label))} |"
            for label, rate in middle.items()
        ],
    )


def _or_nothing(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.1f}"


async def _bare(websocket: ServerConnection, events: int, batch: int) -> None:
    for _ in range(0, events, batch):
        for number in range(batch):
            frame = {"type": "agent_thinking", "event_id": f"{number:032x}", "data": DATA, "critical": True}
            await websocket.send(json.dumps(frame))
        await (await websocket.ping())


async def _flat_out(here: Bench, events: int, variant: str) -> tuple[float, float]:
    """Events a second, and the median microseconds of an emit."""
    manager = here.manager = UnifiedWebSocketManager()
    await here.open(1)
    context = UserExecutionContext("user-0", "thread")
    emitter: Any = UnifiedWebSocketEmitter(manager, "user-0", context)
    if variant == "legacy":
        emitter = LegacyBridgeEmitter(manager, context)
    took: list[float] = []
    began, clock = time.perf_counter(), time.perf_counter_ns
    for number in range(events):
        if number % 64 == 0:
            while manager.get_connection_health("user-0").queued > 128:  # noqa: ASYNC110 - a benchmark
                await asyncio.sleep(0)
        started = clock()
        await emitter.emit("agent_thinking", DATA)
        took.append((clock() - started) / 1e3)
    await manager.recorder.all_settled()
    rate = events / (time.perf_counter() - began)
    counters = manager.recorder.counters()
    assert counters.delivered == events, counters
    await here.close()
    return rate, at(took, 0.5)


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
    late = await pace_in_slices(emitters, 1, seconds, took)
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
            await legacy(here, 4_000 // quick, 2 / quick, 41)
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
