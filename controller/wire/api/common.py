"""What several forms of the interface share."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")

#: Numbers stay exact in any JSON reader, and in both databases.
MOST_NUMBER = 2**53

Reason = Annotated[str, Meta(max_length=500, description="Why, in your words; the audit trail keeps it.")]
Version = Annotated[int, Meta(ge=0, le=MOST_NUMBER, description="That it was read at; 409 if it has changed since.")]
Moment = Annotated[int, Meta(ge=0, le=MOST_NUMBER, description="Milliseconds since 1970.")]
Flags = Annotated[
    list[Annotated[str, Meta(max_length=129)]],
    Meta(max_length=100, description="Keys of flags, or beginnings such as `chat.*`; empty: all flags."),
]
After = Annotated[int, Meta(ge=0, le=MOST_NUMBER, description="Go on behind this cursor: the `next` of the last page.")]
Limit = Annotated[int, Meta(ge=1, le=1_000, description="How many at most.")]


class Page(msgspec.Struct, Generic[T]):
    """A list with the cursor of its next page."""

    items: list[T]
    next: int | None = None


class PageQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of a list."""

    after: After = 0
    limit: Limit = 100
