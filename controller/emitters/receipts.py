"""What a caller holds while an event is under way."""

from __future__ import annotations

import asyncio

import msgspec

from controller.emitters.outcomes import DeliveryAttempt, DeliveryOutcome

__all__ = ["EmitReceipt", "OpenAttempt"]


class OpenAttempt(msgspec.Struct, eq=False):
    """An attempt and, once it is settled, its outcome."""

    attempt: DeliveryAttempt
    #: Monotonic seconds.
    started: float
    #: Monotonic seconds after which silence counts as failure.
    deadline: float
    outcome: DeliveryOutcome | None = None
    _waiters: list[asyncio.Future[DeliveryOutcome]] | None = None

    def settle(self, outcome: DeliveryOutcome) -> None:
        """Take the final outcome and wake whoever waits for it. Only the recorder calls this, and only once."""
        self.outcome = outcome
        if self._waiters is not None:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(outcome)
            self._waiters = None

    async def settled(self) -> DeliveryOutcome:
        """Wait for the final outcome. The deadline of the recorder bounds the wait, as long as somebody sweeps it."""
        if self.outcome is not None:
            return self.outcome
        waiter: asyncio.Future[DeliveryOutcome] = asyncio.get_running_loop().create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        return await waiter


class EmitReceipt(msgspec.Struct, eq=False):
    """The answer of an emit: true when the event is on its way, with the outcome to wait for if wanted.

    Accepted does not mean delivered: delivery is proved later, and `outcome()` waits for that.
    """

    _open: OpenAttempt
    accepted: bool

    @property
    def event_id(self) -> str:
        """The id that the event carries on the wire."""
        return self._open.attempt.event_id

    def __bool__(self) -> bool:
        return self.accepted

    async def outcome(self) -> DeliveryOutcome:
        """Wait for the one final outcome (at the latest the delivery deadline)."""
        return await self._open.settled()

    def __repr__(self) -> str:
        return f"EmitReceipt(event_id={self.event_id!r}, accepted={self.accepted})"
