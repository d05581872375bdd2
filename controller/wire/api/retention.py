"""Retention as the REST interface shows and takes it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from controller.wire.api.common import Reason, Version

Words = Annotated[str, Meta(max_length=40)]


class PolicyView(msgspec.Struct):
    """What is kept of a flag, or of every flag (`*`), as durations and words.

    Attributes:
        raw, ledger, analyses, windows, detail: what holds.
        own: the names of those that were said for this flag; the others are inherited.
        version: of what was said; 0 where nothing was.
    """

    flag: str
    raw: str
    ledger: str
    analyses: str
    windows: str
    detail: str
    own: list[str]
    version: int
    updated_ms: int


class PolicyPatch(msgspec.Struct, forbid_unknown_fields=True):
    """A change at the version it was read at (0: nothing was said yet); an empty text takes back what was said."""

    version: Version
    raw: Words | None = None
    ledger: Words | None = None
    analyses: Words | None = None
    windows: Words | None = None
    detail: Words | None = None
    reason: Reason = ""
