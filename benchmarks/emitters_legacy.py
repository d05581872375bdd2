"""The legacy path through the manager, beside what the agent bridge did bare: a part of benchmarks/emitters.py."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.server import ServerConnection

from benchmarks.crowds import DATA, RATE, USERS, Bench, at, pace_in_slices, table
from controller.emitters import LegacyBridgeEmitter, UnifiedWebSocketManager, UserExecutionContext
from controller.emitters.sanitise import sanitised


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
    cpu = time.process_time()
    await pace_in_slices(emitters, RATE, seconds, took)
    await _delivered(here, events + len(took))
    paced = (time.process_time() - cpu) / len(took) * 1e6
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
