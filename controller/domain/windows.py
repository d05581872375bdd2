"""Pictures: raw counts in intervals of event time, for people and charts; the judge never reads them."""

from __future__ import annotations

from typing import NamedTuple

#: The length of a window.
WINDOW_MS = 10_000
#: Event time is server receipt minus the client's monotonic age, which is believed up to this.
MOST_AGE_MS = 600_000


class WindowKey(NamedTuple):
    """One interval of one event type on one variant."""

    flag_key: str
    variant: str
    event_type: str
    starts_ms: int


def event_time_ms(received_ms: int, age_ms: int) -> int:
    """When it happened, by the server's clock: no client's wall clock is ever trusted."""
    return received_ms - min(max(age_ms, 0), MOST_AGE_MS)


def window_start(at_ms: int) -> int:
    """The start of the window that holds this moment."""
    return window_of(at_ms, WINDOW_MS)


def window_of(at_ms: int, width_ms: int) -> int:
    """The start of the window of this width that holds this moment."""
    return at_ms // width_ms * width_ms
