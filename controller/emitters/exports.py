"""Outcomes in batches, for whoever stores or exports them: from a bounded queue of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from controller.emitters.outcomes import DeliveryAttempt, DeliveryOutcome
from controller.emitters.recorder import DeliveryRecorder

__all__ = ["OutcomeBatches"]


class OutcomeBatches:
    """Final outcomes as lists, each as soon as `size` have come or `wait` seconds have passed since its first.

        batches = OutcomeBatches(recorder)
        async for outcomes in batches: ...          # until `close`

    A slow reader loses the oldest outcomes, which `dropped` counts; it never slows down emission. The recorder's
    counters and listeners are not concerned by that.

    Raises:
        ValueError: a bound makes no sense.
    """

    def __init__(
        self, recorder: DeliveryRecorder, *, size: int = 256, wait: float = 0.05, capacity: int = 10_000
    ) -> None:
        if not 1 <= size <= capacity:
            raise ValueError(f"size must be at least 1 and at most capacity ({capacity}), not {size}")
        if wait <= 0:
            raise ValueError(f"wait must be more than 0 seconds, not {wait}")
        self._recorder = recorder
        self._size = size
        self._wait = wait
        self._queue: deque[DeliveryOutcome] = deque(maxlen=capacity)
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._closed = False
        #: Outcomes that nobody read in time.
        self.dropped = 0
        recorder.add_listener(self)

    def attempted(self, attempt: DeliveryAttempt) -> None:
        """See `DeliveryListener`. Only outcomes matter here."""

    def settled(self, outcome: DeliveryOutcome) -> None:
        """See `DeliveryListener`."""
        self.dropped += len(self._queue) == self._queue.maxlen
        self._queue.append(outcome)
        self._some.set()
        if len(self._queue) >= self._size:
            self._enough.set()

    def close(self) -> None:
        """Take no more; what waits is still given out."""
        self._recorder.remove_listener(self)
        self._closed = True
        self._some.set()
        self._enough.set()

    async def __aiter__(self) -> AsyncIterator[list[DeliveryOutcome]]:
        """The batches, in order."""
        while True:
            await self._some.wait()
            if not self._closed:
                await self._filled()
            if not self._queue:
                return
            yield [self._queue.popleft() for _ in range(min(self._size, len(self._queue)))]
            if not self._closed and not self._queue:
                self._some.clear()
            if not self._closed and len(self._queue) < self._size:
                self._enough.clear()

    async def _filled(self) -> None:
        try:
            async with asyncio.timeout(self._wait):
                await self._enough.wait()
        except TimeoutError:
            return
