"""What waits to be written to one socket, bounded, with progress that gives way to newer progress."""

from __future__ import annotations

from collections import deque

from controller.emitters.delivery import CoalesceKey, Delivery
from controller.emitters.outcomes import DeliveryStatus

__all__ = ["Outbox"]


class Outbox:
    """Events in the order they are to be written in.

    Of two progress events of one run that both wait, the older one is settled as coalesced: the newer says all that it
    said. The newer one keeps its own place, so that nothing overtakes what was emitted before it.
    """

    __slots__ = ("_gave_way", "_max", "_newest", "_queue")

    def __init__(self, max_queue: int) -> None:
        self._max = max_queue
        self._queue: deque[Delivery] = deque()
        #: Ids still in the queue whose place a newer event has taken.
        self._gave_way: set[str] = set()
        self._newest: dict[CoalesceKey, Delivery] = {}

    def __len__(self) -> int:
        return len(self._queue) - len(self._gave_way)

    def __bool__(self) -> bool:
        return bool(self._queue)

    def offer(self, delivery: Delivery) -> bool:
        """Take an event; False when there are as many as may wait."""
        if delivery.coalesce is not None and self._take_place(delivery.coalesce):
            self.push(delivery)
            return True
        if len(self._queue) - len(self._gave_way) >= self._max:
            return False
        if delivery.coalesce is not None:
            self._newest[delivery.coalesce] = delivery
        self._queue.append(delivery)
        delivery.waiting += 1
        return True

    def push(self, delivery: Delivery) -> None:
        """Take an event whatever there is."""
        if delivery.coalesce is not None:
            self._newest[delivery.coalesce] = delivery
        self._queue.append(delivery)
        delivery.taken()

    def next(self, most: int) -> list[Delivery]:
        """The first events, at most so many, taken out."""
        if len(self._queue) <= most and not (self._gave_way or self._newest):  # no progress among them
            batch = list(self._queue)
            self._queue.clear()
            return batch
        batch = []
        while self._queue and len(batch) < most:
            delivery = self._queue.popleft()
            if self._still_wanted(delivery):
                batch.append(delivery)
        return batch

    def expired(self, now: float) -> list[Delivery]:
        """The events past their deadline, taken out."""
        late: list[Delivery] = []
        while self._queue and self._queue[0].deadline <= now:
            delivery = self._queue.popleft()
            if self._still_wanted(delivery):
                late.append(delivery)
        return late

    def clear(self) -> list[Delivery]:
        """All events, taken out."""
        return self.next(len(self._queue))

    def _take_place(self, key: CoalesceKey) -> bool:
        """Let older progress of this key give way; False when there is none."""
        older = self._newest.get(key)
        if older is None:
            return False
        self._gave_way.add(older.event_id)
        older.lost(DeliveryStatus.COALESCED, "newer progress took its place")
        return True

    def _still_wanted(self, delivery: Delivery) -> bool:
        if delivery.event_id in self._gave_way:
            self._gave_way.discard(delivery.event_id)
            return False
        if delivery.coalesce is not None and self._newest.get(delivery.coalesce) is delivery:
            del self._newest[delivery.coalesce]
        return True
