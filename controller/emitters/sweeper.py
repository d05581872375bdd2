"""The one periodic task of an event loop's emitters: deadlines, idle runs, dead sockets."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

__all__ = ["Sweep", "Sweeper"]

logger = logging.getLogger(__name__)

#: Takes monotonic seconds; says whether it wants to be called again.
Sweep = Callable[[float], bool]


class Sweeper:
    """Calls every sweep each `interval` seconds while one of them has work. No task exists before the first need.

    After the event loop was blocked, the first round judges by the moment at which it was due: what peers have said
    meanwhile has not been read yet, and nobody may be charged for that.
    """

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._sweeps: tuple[Sweep, ...] = ()
        self._task: asyncio.Task[None] | None = None
        #: Whether the task exists.
        self.running = False

    def add(self, sweep: Sweep) -> None:
        """Call this sweep too, from the next round on."""
        self._sweeps = (*self._sweeps, sweep)

    def remove(self, sweep: Sweep) -> None:
        """Call this sweep no more. Unknown sweeps are no error."""
        self._sweeps = tuple(kept for kept in self._sweeps if kept != sweep)

    def ensure_running(self) -> None:
        """Start the task unless it runs. Needs a running event loop."""
        if not self.running:
            self.running = True
            self._task = asyncio.get_running_loop().create_task(self._run(), name="delivery-sweeper")

    async def aclose(self) -> None:
        """End the task and wait for its end."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.running = False  # also of a task that was cancelled before its first step

    async def _run(self) -> None:
        try:
            wanted = True
            while wanted:
                due = self._clock() + self._interval
                await asyncio.sleep(self._interval)
                now = self._clock()
                if now > due + self._interval:
                    now = due
                # Every sweep has its turn: the list is built before any() looks at it.
                wanted = any([self._guarded(sweep, now) for sweep in self._sweeps])  # noqa: C419
        finally:
            self.running = False

    def _guarded(self, sweep: Sweep, now: float) -> bool:
        try:
            return sweep(now)
        except Exception:
            logger.exception("a sweep raised; it is called again in the next round")
            return True
