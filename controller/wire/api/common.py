"""What several forms of the interface share."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Reason = Annotated[str, Meta(max_length=500)]


class Page(msgspec.Struct):
    """A list with the cursor of its next page."""

    items: list[Any]
    next: int | None = None
