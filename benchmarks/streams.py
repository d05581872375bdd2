"""How fast a change reaches N open streams of one process, and what that does to the API beside them.

    python benchmarks/streams.py [--clients 1000] [--pushes 10] [--server granian|uvicorn] [--row]

Prints one Markdown table. The server runs in a process of its own, the clients in this one, so both share the machine;
times are read from the one monotonic clock of the machine. Ends by itself within two minutes. `--server uvicorn` runs
the same application on uvicorn (pip install uvicorn httptools) for comparison; `--row` leaves out the table's head.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvloop
from flask import Flask

from controller.web.server import Shell, StreamRoute, make_asgi, serve
from controller.web.sockets import allow_connections, listen
from controller.web.stream import StreamHub

DEADLINE_S = 120
MESSAGE_BYTES = 300
API_CONNECTIONS = 8
API_RATE = 200  # requests a second over all connections
PHASE_S = 4.0
HEAD = (
    "| server | streams | connect s | delivered | push p50 ms | push p99 ms | server CPU ms/push | KiB/stream "
    "| API p50/p99 ms, no streams | API p99 ms, idle streams | API p99 ms, one push a {every:.1f} s | API req/CPU-s |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


# ---- the server's process


def build() -> Shell:
    app = Flask("bench")
    hub = StreamHub()
    state = {"id": 0}

    @app.get("/api")
    def api() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/push")
    def push() -> str:
        state["id"] += 1
        data = str(time.monotonic_ns()).ljust(MESSAGE_BYTES, ".")
        hub.publish("bench", str(state["id"]), "change", data.encode())
        return ""

    @app.get("/usage")
    def usage() -> dict[str, float]:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return {"cpu_s": time.process_time(), "kib": pages * os.sysconf("SC_PAGE_SIZE") / 1024}

    return make_asgi(app, hub, {"/stream": StreamRoute("bench", lambda _request: None)})


def run_server(kind: str) -> None:
    def tell(port: int) -> None:
        print(port, flush=True)

    if kind == "granian":
        serve(build(), "127.0.0.1", 0, tell)
        return
    import uvicorn  # type: ignore[import-not-found] # noqa: PLC0415 - for the comparison only, no dependency

    async def main() -> None:
        sock, shell = listen("127.0.0.1", 0), build()
        shell.start(asyncio.get_running_loop())
        tell(sock.getsockname()[1])
        options: dict[str, Any] = {"ws": "none", "lifespan": "off", "log_level": "critical", "http": "httptools"}
        options |= {"timeout_keep_alive": 60, "backlog": 4096}
        await uvicorn.Server(uvicorn.Config(shell, **options)).serve(sockets=[sock])

    allow_connections(12_000)
    uvloop.run(main())


# ---- the clients


class Stream(asyncio.Protocol):
    """One stream that notes how old each change is when it arrives."""

    def __init__(self, port: int, ages_ms: list[float]) -> None:
        self._port, self._ages = port, ages_ms
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        transport.write(b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if not self.open.done():
            self.open.set_result(None)
        mark = data.rfind(b"event: change\ndata: ")
        if mark >= 0:
            self._ages.append((now - int(data[mark + 20 : data.index(b".", mark)])) / 1e6)


class Api:
    """One keep-alive connection to the API."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def call(self, method: str, path: str) -> bytes:
        self._writer.write(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return await self._reader.readexactly(length)


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


async def load_api(connections: list[Api], seconds: float) -> list[float]:
    """Latencies in ms at a fixed rate; a late request counts from when it was due."""
    started, latencies = time.monotonic(), []

    async def one(number: int, api: Api) -> None:
        due = started + number / API_RATE
        while due < started + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await api.call("GET", "/api")
            latencies.append((time.monotonic() - due) * 1000)
            due += len(connections) / API_RATE

    await asyncio.gather(*(one(number, api) for number, api in enumerate(connections)))
    return latencies


async def requests_per_cpu_second(connections: list[Api], control: Api) -> float:
    before, until, done = await usage(control), time.monotonic() + PHASE_S / 2, 0

    async def one(api: Api) -> None:
        nonlocal done
        while time.monotonic() < until:
            await api.call("GET", "/api")
            done += 1

    await asyncio.gather(*(one(api) for api in connections))
    return done / ((await usage(control))["cpu_s"] - before["cpu_s"])


async def usage(control: Api) -> dict[str, float]:
    import json  # noqa: PLC0415 - used here alone

    figures: dict[str, float] = json.loads(await control.call("GET", "/usage"))
    return figures


async def open_streams(port: int, count: int, ages: list[float]) -> list[asyncio.Transport]:
    loop, transports = asyncio.get_running_loop(), []
    for begin in range(0, count, 100):
        batch = [
            loop.create_connection(lambda: Stream(port, ages), "127.0.0.1", port)
            for _ in range(min(100, count - begin))
        ]
        pairs = await asyncio.gather(*batch)
        await asyncio.gather(*(protocol.open for _, protocol in pairs))
        transports += [transport for transport, _ in pairs]
    return transports


async def push_all(control: Api, pushes: int, every_s: float) -> None:
    for _ in range(pushes):
        await control.call("POST", "/push")
        await asyncio.sleep(every_s)


async def settle(ages: list[float], expected: int) -> None:
    """Wait until all have arrived, or none has for two seconds (a stream that lags skips to the latest change)."""
    known, since = len(ages), time.monotonic()
    while len(ages) < expected and time.monotonic() < since + 2:
        await asyncio.sleep(0.05)
        if len(ages) > known:
            known, since = len(ages), time.monotonic()


async def measure(port: int, kind: str, clients: int, pushes: int) -> str:
    apis = [Api(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(API_CONNECTIONS)]
    control = Api(*await asyncio.open_connection("127.0.0.1", port))
    await load_api(apis, 0.5)
    throughput = await requests_per_cpu_second(apis, control)
    alone = await load_api(apis, PHASE_S)
    ages: list[float] = []
    before, begun = await usage(control), time.monotonic()
    streams = await open_streams(port, clients, ages)
    connect_s = time.monotonic() - begun
    kib = ((await usage(control))["kib"] - before["kib"]) / clients
    idle = await load_api(apis, PHASE_S)
    ages.clear()
    cpu = (await usage(control))["cpu_s"]
    await push_all(control, pushes, PHASE_S / pushes)
    await settle(ages, clients * pushes)
    cpu = (await usage(control))["cpu_s"] - cpu
    delivered, quiet_ages = len(ages), list(ages)
    busy, _ = await asyncio.gather(load_api(apis, PHASE_S), push_all(control, pushes, PHASE_S / pushes))
    for stream in streams:
        stream.close()
    quiet = f"{percentile(quiet_ages, 0.5):.1f} | {percentile(quiet_ages, 0.99):.1f}"
    return (
        f"| {kind} | {clients} | {connect_s:.1f} | {100 * delivered / (clients * pushes):.1f} % "
        f"| {quiet} | {1000 * cpu / pushes:.0f} | {kib:.0f} "
        f"| {percentile(alone, 0.5):.1f} / {percentile(alone, 0.99):.1f} | {percentile(idle, 0.99):.1f} "
        f"| {percentile(busy, 0.99):.1f} | {throughput:.0f} |"
    )


async def bounded(port: int, options: argparse.Namespace) -> str:
    async with asyncio.timeout(DEADLINE_S):
        return await measure(port, options.server, options.clients, options.pushes)


def main(options: argparse.Namespace) -> None:
    command = [sys.executable, __file__, "--serve", "--server", options.server]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        row = uvloop.run(bounded(int(server.stdout.readline()), options))
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    if not options.row:
        print(HEAD.format(every=PHASE_S / options.pushes))
    print(row)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--pushes", type=int, default=10)
    parser.add_argument("--server", choices=("granian", "uvicorn"), default="granian")
    parser.add_argument("--row", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        run_server(chosen.server)
    else:
        allow_connections(chosen.clients + API_CONNECTIONS)
        main(chosen)
