"""Pages of a list: one row more than asked for tells whether another page follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from controller.wire.api.common import Page

T = TypeVar("T")
Shown = TypeVar("Shown")


def page(rows: Sequence[T], limit: int, shown: Callable[[T], Shown], cursor: Callable[[T], int]) -> Page[Shown]:
    """The page of up to `limit` of these rows, of which one more was read than is shown."""
    kept = rows[:limit]
    return Page([shown(row) for row in kept], cursor(kept[-1]) if len(rows) > limit else None)


def slice_page(rows: Sequence[T], after: int, limit: int, shown: Callable[[T], Shown]) -> Page[Shown]:
    """The page behind the first `after` rows of a list that is small enough to be held whole."""
    kept = rows[after : after + limit]
    following = after + limit
    return Page([shown(row) for row in kept], following if following < len(rows) else None)
