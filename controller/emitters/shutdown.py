"""The end of a process: nothing is lost, and nobody is charged for a restart."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from controller.client import DeliveryReporter
from controller.emitters.manager import UnifiedWebSocketManager
from controller.emitters.monitor import GoldenPathMonitor
from controller.emitters.router import EmitterRouter

__all__ = ["ShutdownReport", "shut_down"]

#: The share of the budget in which events under way may still be proved.
_DRAINING: Final = 0.5
#: What closing handshakes may take of it at most.
_CLOSING: Final = 0.2
_LEAST_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class ShutdownReport:
    """How a shutdown went.

    Attributes:
        interrupted: events that could not be proved any more; they count for neither arm.
        reported: whether the controller has acknowledged everything, and that this process is gone. If not, and the
            reporter has a spool, what is left lies there for the next process.
        seconds: how long it took.
    """

    interrupted: int
    reported: bool
    seconds: float


async def shut_down(
    manager: UnifiedWebSocketManager,
    *,
    router: EmitterRouter | None = None,
    reporter: DeliveryReporter | None = None,
    monitor: GoldenPathMonitor | None = None,
    budget: float = 5.0,
) -> ShutdownReport:
    """End a process's emitters within `budget` seconds: what a preStop hook or a SIGTERM handler calls.

    Takes no more events, waits for those under way, settles the rest as interrupted, closes all sockets with 1001,
    reports everything and deregisters this process at the controller. Stop accepting sockets before.

    Raises:
        ValueError: `budget` is not more than 0.
    """
    if budget <= 0:
        raise ValueError(f"budget must be more than 0 seconds, not {budget}")
    began = time.monotonic()
    interrupted = await manager.drain(budget * _DRAINING)
    closing = asyncio.ensure_future(manager.aclose())
    await asyncio.wait({closing}, timeout=budget * _CLOSING)
    if router is not None:
        router.close()
    if monitor is not None:
        await monitor.aclose()
    reported = True
    if reporter is not None:
        left = max(_LEAST_S, began + budget - time.monotonic())
        reported = await asyncio.to_thread(reporter.close, left)
    closing.cancel()  # peers that do not take part in the handshake are not waited for any longer
    await asyncio.gather(closing, return_exceptions=True)
    return ShutdownReport(interrupted, reported, time.monotonic() - began)
