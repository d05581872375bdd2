"""How fast the client asks, how long it waits and how it backs off; and the clock that all of it is measured by."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

#: Seconds of a clock that never goes back.
Clock = Callable[[], float]


def _suspend_aware() -> Clock:
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic if boottime is None else partial(time.clock_gettime, boottime)


#: Monotonic seconds that go on while the machine is suspended, so that a lease also lapses in a sleeping machine.
steady = _suspend_aware()


@dataclass(frozen=True, slots=True)
class Pace:
    """Waiting times, in seconds.

    Attributes:
        silence: a stream that says nothing for so long is broken; the controller speaks every 10 s.
        answer: how long an answer to a poll or a report may take.
        least_backoff, most_backoff: bounds of the pause between attempts, doubled with each failure.
        mute_stream: pause after a stream that connected and never spoke (a proxy that buffers, say).
        hasty: how soon a failure is reported; hasty_gap: how often at most.
        lease_jitter: the most that a contact lease is shortened by, as a part of it; drawn once a process.
        return_after, return_spread: how long contact must hold after a lapsed lease before the canary comes back, and
            the random time on top.
    """

    silence: float = 25.0
    connect: float = 3.0
    answer: float = 10.0
    least_backoff: float = 0.2
    most_backoff: float = 10.0
    mute_stream: float = 300.0
    hasty: float = 0.05
    hasty_gap: float = 0.25
    lease_jitter: float = 0.2
    return_after: float = 60.0
    return_spread: float = 60.0

    def backoff(self, failures: int) -> float:
        """The pause after so many failures in a row: exponential, with jitter so that clients do not move in step."""
        pause = min(self.most_backoff, self.least_backoff * float(2 ** min(failures, 16)))
        return pause * (0.5 + random.random() / 2)  # noqa: S311 - spreads retries, guards no secret

    def pause(self, failures: int, asked_s: float) -> float:
        """The pause before the next stream: at least what the controller asked for, with the same jitter."""
        return max(self.backoff(failures), asked_s * (0.5 + random.random() / 2))  # noqa: S311 - see above


def seconds(value: timedelta | float, field: str) -> float:
    """A duration given as timedelta or as seconds.

    Raises:
        ValueError: it is not more than zero, or above a day; the error names the argument.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not 0 < number <= 86_400:
        raise ValueError(f"{field} must be more than 0 and at most 86400 seconds, not {value}")
    return number
