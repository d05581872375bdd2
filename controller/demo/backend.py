"""One process of the demo's chat back end: real sockets, real agents' events, the real client library.

Started as `python -m controller.demo.backend`; it takes orders (a fault to switch on) on standard input and says on
standard output, as one JSON line, where it listens.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import random
import signal
import sys
from urllib.parse import parse_qs, urlsplit

from openfeature import api
from websockets.asyncio.server import ServerConnection, serve

from controller.client import CanaryProvider, DeliveryReporter
from controller.demo.faults import Switch
from controller.demo.options import CANARY, CONTROL, FLAG, Fault
from controller.emitters import (
    DeliveryRecorder,
    EmitterRouter,
    UnifiedWebSocketManager,
    UserExecutionContext,
    connect,
    shut_down,
)
from controller.settings import client_settings

_THINKING_S = 0.12


class ChatBackend:
    """Serves users: each message of a user starts an agent run, which emits the five events."""

    def __init__(self, router: EmitterRouter, seed: int) -> None:
        self._router = router
        self._chance = random.Random(seed)  # noqa: S311 - a simulation, no secret
        self._runs: set[asyncio.Task[None]] = set()

    async def handle(self, socket: ServerConnection) -> None:
        """The whole life of one user's socket."""
        path = socket.request.path if socket.request else "/"
        user_id = parse_qs(urlsplit(path).query).get("user", [""])[0]
        if not user_id:
            await socket.close(1008, "say who you are: /chat?user=ID")
            return

        async def ask(message: str | bytes) -> None:
            asked = json.loads(message)
            run = asyncio.create_task(self._run(UserExecutionContext(user_id, str(asked["thread"]))))
            self._runs.add(run)
            run.add_done_callback(self._runs.discard)

        await self._router.manager.serve_connection(user_id, socket, on_message=ask)

    async def _run(self, context: UserExecutionContext) -> None:
        emitter = self._router.emitter_for(context)
        await emitter.emit_agent_started({"agent_name": "demo"})
        await self._think()
        await emitter.emit_agent_thinking({"thought": "what could they mean?"})
        await self._think()
        await emitter.emit_tool_executing({"tool": "search"})
        await self._think()
        await emitter.emit_tool_completed({"tool": "search", "found": 3})
        await self._think()
        await emitter.emit_agent_completed({"agent_name": "demo", "result": "42"})

    async def _think(self) -> None:
        await asyncio.sleep(self._chance.uniform(0.5, 1.5) * _THINKING_S)


async def take_orders(switch: Switch, stop: asyncio.Event) -> None:
    """Read orders from standard input, the name of a fault a line; its end means that the demo is gone."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        with contextlib.suppress(ValueError):
            switch.fault = Fault(line.decode().strip())
    stop.set()


async def serve_chat(arguments: argparse.Namespace) -> None:
    """Serve until SIGTERM; then drain, settle what is open as interrupted, and say goodbye to the controller."""
    url, token = client_settings()
    reporter = DeliveryReporter(
        url, token or "", instance=arguments.name, app_version=arguments.version, region=arguments.region
    )
    provider = CanaryProvider(url, token or "", reporter=reporter, instance=arguments.name)
    api.set_provider_and_wait(provider)
    reporter.start()
    recorder = DeliveryRecorder()
    manager = UnifiedWebSocketManager(recorder=recorder)
    switch = Switch()
    router = EmitterRouter(
        api.get_client(), manager, flag_key=FLAG, control=CONTROL, canary=CANARY, make_canary=switch.make_emitter
    )
    connect(recorder, router, reporter)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    orders = asyncio.create_task(take_orders(switch, stop))
    chat = ChatBackend(router, arguments.seed)
    async with serve(chat.handle, "127.0.0.1", arguments.port, compression=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        sys.stdout.write(json.dumps({"port": port}) + "\n")
        sys.stdout.flush()
        await stop.wait()
        orders.cancel()
        await shut_down(manager, router=router, reporter=reporter)
    await asyncio.to_thread(api.shutdown)


def main() -> None:
    """The process's entry point."""
    parser = argparse.ArgumentParser(description="One process of the demo's chat back end.")
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", default="2.0.0")
    parser.add_argument("--region", default="local")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=7)
    logging.basicConfig(level=logging.CRITICAL)
    asyncio.run(serve_chat(parser.parse_args()))


if __name__ == "__main__":
    main()
