"""The legacy path through the manager, beside what the agent bridge did bare: a part of benchmarks/emitters.py."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from websockets.asyncio.server import ServerConnection

from benchmarks.crowds import DATA, RATE, USERS, Bench, at, pace_in_slices, table
from controller.emitters import LegacyBridgeEmitter, LegacyFactoryEmitter, UnifiedWebSocketManager, UserExecutionContext

SECRET_WORDS = ("password", "secret", "key", "token", "auth", "credential")


def sanitised(value: Any) -> Any:
    """What both hid and cut, in the plainest way."""
    if isinstance(value, dict):
        return {
            name: "[REDACTED]" if any(word in name.lower() for word in SECRET_WORDS) else sanitised(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [sanitised(item) for item in value]
    return f"{value[:200]}..." if isinstance(value, str) and len(value) > 200 else value


class BareManager:
    """What the two emitters had between them and the socket: a lock per user, and a record of each message for ever."""

    def __init__(self, accepted: dict[str, ServerConnection]) -> None:
        self._accepted = accepted
        self._locks: dict[str, asyncio.Lock] = {}
        self._tracking: dict[str, dict[str, Any]] = {}

    async def send_to_user(self, user_id: str, message: dict[str, Any]) -> None:
        """To all sockets of the user, of which there is one here; keys that name another user are overwritten."""
        async with self._locks.setdefault(user_id, asyncio.Lock()):
            for name, value in message.items():
                if name.endswith("_user_id") and value != user_id:
                    message[name] = user_id
            self._tracking[str(uuid4())] = {"user_id": user_id, "type": message.get("type"), "status": "pending"}
            await self._accepted[user_id].send(json.dumps(message))


class BareBridge:
    """What the agent bridge did: sanitise, envelope, JSON, one awaited send."""

    def __init__(self, manager: BareManager, context: UserExecutionContext) -> None:
        self._manager, self._context = manager, context

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
        await self._manager.send_to_user(self._context.user_id, message)
        return True


class BareFactory:
    """What the bridge factory did: a queue of a thousand events, and a task that sends each within five seconds."""

    def __init__(self, manager: BareManager, context: UserExecutionContext) -> None:
        self._manager, self._context = manager, context
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1_000)
        self._sent: list[dict[str, Any]] = []
        self.sender = asyncio.get_running_loop().create_task(self._send())

    async def emit(self, event_type: str, data: dict[str, Any]) -> bool:
        payload = {"thinking" if name == "thought" else name: value for name, value in data.items()}
        message = {
            "event_type": event_type,
            "event_id": str(uuid4()),
            "thread_id": self._context.thread_id,
            "data": sanitised(payload),
            "timestamp": datetime.now(UTC).isoformat(),  # noqa: TID251 - as the original does
        }
        await asyncio.wait_for(self._queue.put(message), 1.0)
        return True

    async def _send(self) -> None:
        while True:
            message = await self._queue.get()
            await asyncio.wait_for(self._manager.send_to_user(self._context.user_id, message), 5.0)
            self._sent.append(message)
            if len(self._sent) > 100:
                del self._sent[:50]


LEGACY = {"agent bridge": (BareBridge, LegacyBridgeEmitter), "bridge factory": (BareFactory, LegacyFactoryEmitter)}


async def legacy(here: Bench, events: int, seconds: float, rounds: int) -> None:
    """Rounds alternate, since a machine changes its pace; the ratio is the median of those of all rounds."""
    for name, kinds in LEGACY.items():
        found: tuple[list[tuple[float, ...]], list[tuple[float, ...]]] = ([], [])
        for number in range(rounds):
            pairs = list(zip(found, kinds, strict=True))
            for costs, kind in pairs if number % 2 else reversed(pairs):
                costs.append(await _costs(here, kind, events, seconds))
        rows = []
        for row, what in enumerate(
            (
                f"caller waits, us/event, {USERS} users at {RATE} events/s",
                "CPU of the server, us/event, flat out on one connection",
                f"CPU of the server, us/event, {USERS} users at {RATE} events/s",
            )
        ):
            bare, ours = ([one[row] for one in costs] for costs in found)
            low, middle, high = statistics.quantiles([b / a for a, b in zip(bare, ours, strict=True)], n=4)
            medians = f"{statistics.median(bare):.1f} | {statistics.median(ours):.1f}"
            rows.append(f"| {what} | {medians} | {middle:.2f} ({low:.2f} to {high:.2f}) |")
        table(f"The legacy path ({name})", "| cost | bare | through the manager | ratio (middle half) |", rows)


async def _costs(here: Bench, kind: type[Any], events: int, seconds: float) -> tuple[float, float, float]:
    bare = kind in (BareBridge, BareFactory)
    here.manager = None if bare else UnifiedWebSocketManager(max_queue=100_000)
    await here.open(USERS)
    manager = BareManager(here.accepted) if bare else here.manager
    emitters = [kind(manager, UserExecutionContext(f"user-{number}", "thread")) for number in range(USERS)]
    cpu = time.process_time()
    for number in range(events):
        await emitters[0].emit("agent_thinking", DATA)
        if number % 64 == 0:
            await asyncio.sleep(0)
    await _delivered(here, events)
    flat = (time.process_time() - cpu) / events * 1e6
    took: list[float] = []
    cpu = time.process_time()
    await pace_in_slices(emitters, RATE, seconds, took)
    await _delivered(here, events + len(took))
    paced = (time.process_time() - cpu) / len(took) * 1e6
    for emitter in emitters:
        if isinstance(emitter, BareFactory):
            emitter.sender.cancel()
    await here.close()
    return at(took, 0.5), flat, paced


async def _delivered(here: Bench, events: int) -> None:
    if here.manager is not None:
        await here.manager.recorder.all_settled()
        assert here.manager.recorder.counters().delivered == events
    while (await here.peers.asked(do="count"))["frames"] < events:  # noqa: ASYNC110 - a benchmark
        await asyncio.sleep(0.01)
