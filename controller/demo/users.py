"""The demo's users, hundreds at a time on real sockets: they come, ask twice, read the answers, and go.

Started as `python -m controller.demo.users`; it takes orders on standard input (a list of ports to connect to, or the
name of a fault) and reports on standard output once a second, as JSON lines, what the users saw.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import random
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from controller.demo.options import Fault

_QUESTIONS = 2
_PATIENCE_S = 8.0


class Crowd:
    """Keeps so many users online; each is new, so that each is a unit of evidence of its own."""

    def __init__(self, users: int, seed: int) -> None:
        self._users = users
        self._seed = seed
        self._chance = random.Random(seed)  # noqa: S311 - a simulation, no secret
        self.ports: list[int] = []
        self.fault = Fault.NONE
        self._number = 0
        self.online = 0
        self.events = 0
        self.answers = 0
        self.unanswered = 0
        self.left = 0

    async def keep_coming(self, stop: asyncio.Event) -> None:
        """Every user who goes is followed by another."""
        await asyncio.gather(*(self._seat(stop) for _ in range(self._users)))

    async def _seat(self, stop: asyncio.Event) -> None:
        await asyncio.sleep(self._chance.uniform(0, 3))
        while not stop.is_set():
            self._number += 1
            user_id = f"user-{self._seed}-{self._number}"
            try:
                await self._visit(user_id)
            except (OSError, WebSocketException, TimeoutError):
                await asyncio.sleep(0.2)

    async def _visit(self, user_id: str) -> None:
        port = self._chance.choice(self.ports)
        uri = f"ws://127.0.0.1:{port}/chat?user={user_id}"
        async with connect(uri, compression=None, ping_interval=None, open_timeout=5, close_timeout=2) as socket:
            self.online += 1
            try:
                for question in range(_QUESTIONS):
                    if not await self._ask(socket, f"{user_id}-{question}"):
                        return
                    await asyncio.sleep(self._chance.uniform(0.2, 1.0))
            finally:
                self.online -= 1

    async def _ask(self, socket: object, thread: str) -> bool:
        """Ask and read the events until the answer; False when the user leaves or gives up."""
        leaves = self.fault is Fault.ABANDON and self._chance.random() < 1 / 3
        await socket.send(json.dumps({"thread": thread}))  # type: ignore[attr-defined]
        try:
            async with asyncio.timeout(_PATIENCE_S):
                seen = 0
                while True:
                    event = json.loads(await socket.recv())  # type: ignore[attr-defined]
                    self.events += 1
                    seen += 1
                    if leaves and seen == 2:
                        self.left += 1
                        return False
                    if event.get("type") == "agent_completed":
                        self.answers += 1
                        return True
        except TimeoutError:
            self.unanswered += 1
            return True

    def account(self) -> dict[str, int]:
        """What the users saw so far."""
        return {
            "online": self.online,
            "users": self._number,
            "events": self.events,
            "answers": self.answers,
            "unanswered": self.unanswered,
            "left": self.left,
        }


async def take_orders(crowd: Crowd, stop: asyncio.Event) -> None:
    """Read orders from standard input until it is closed."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = json.loads(line)
        crowd.ports = order.get("ports", crowd.ports)
        crowd.fault = Fault(order.get("fault", crowd.fault))
    stop.set()


async def simulate(arguments: argparse.Namespace) -> None:
    """Keep users coming until standard input is closed."""
    crowd = Crowd(arguments.users, arguments.seed)
    crowd.ports = arguments.ports
    stop = asyncio.Event()
    orders = asyncio.create_task(take_orders(crowd, stop))
    coming = asyncio.create_task(crowd.keep_coming(stop))
    while not stop.is_set():
        sys.stdout.write(json.dumps(crowd.account()) + "\n")
        sys.stdout.flush()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1)
    coming.cancel()
    orders.cancel()


def main() -> None:
    """The process's entry point."""
    parser = argparse.ArgumentParser(description="The demo's users.")
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--ports", type=int, nargs="+", required=True)
    logging.basicConfig(level=logging.CRITICAL)
    asyncio.run(simulate(parser.parse_args()))


if __name__ == "__main__":
    main()
