"""How an attempt that was recorded before an emitter ran finds the frame that the emitter sends.

The router records the attempt and carries it in a context variable while the emitter under test runs. The manager
claims it when the emitter hands over an event of that type for that user, so the wire carries the attempt's id and
there is one attempt per event. An emitter that never reaches the manager leaves the attempt unclaimed, and its
deadline charges it.

A task that an emitter starts inherits the attempt by itself. An emitter with a queue of its own, drained by a task that
lived before, takes `current_attempt()` along with the event and sends it inside `carrying(...)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import msgspec

from controller.emitters.receipts import EmitReceipt, OpenAttempt

__all__ = ["CURRENT", "AttemptClaim", "carrying", "claim", "current_attempt"]


class AttemptClaim(msgspec.Struct, eq=False):
    """An attempt on its way to the manager, which may take it once."""

    open: OpenAttempt
    claimed: bool = False
    #: What the manager answered to the emitter.
    receipt: EmitReceipt | None = None


#: The attempt that the running emitter is being measured by.
CURRENT: Final[ContextVar[AttemptClaim | None]] = ContextVar("current_delivery_attempt", default=None)


def current_attempt() -> AttemptClaim | None:
    """The attempt of the event that is being emitted here, if a router made one."""
    return CURRENT.get()


@contextmanager
def carrying(attempt: AttemptClaim | None) -> Iterator[None]:
    """Emit inside this block as part of an attempt that was taken along from somewhere else."""
    token = CURRENT.set(attempt)
    try:
        yield
    finally:
        CURRENT.reset(token)


def claim(user_id: str, event_type: str) -> AttemptClaim | None:
    """Take the carried attempt if it is for this user and event and nobody has taken it."""
    carried = CURRENT.get()
    if carried is None or carried.claimed:
        return None
    attempt = carried.open.attempt
    if attempt.event_type != event_type or attempt.user_id != user_id:
        return None
    carried.claimed = True
    return carried
