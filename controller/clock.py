"""The one place where the wall clock is read."""

from __future__ import annotations

import time
from collections.abc import Callable

#: A clock gives milliseconds since the Unix epoch.
Clock = Callable[[], int]


def system_clock() -> int:
    """Milliseconds since the Unix epoch, by this machine."""
    return time.time_ns() // 1_000_000  # noqa: TID251 - this is the door
