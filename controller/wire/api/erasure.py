"""Erasing users' data as the REST interface takes and answers it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from controller.wire.api.common import Reason

Pseudonym = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]


class Erasure(msgspec.Struct, forbid_unknown_fields=True):
    """Whose data to erase: pseudonyms, as clients make them from the token and the user's id."""

    pseudonyms: Annotated[list[Pseudonym], Meta(min_length=1, max_length=100)]
    reason: Reason = ""


class ErasedView(msgspec.Struct):
    """How many rows went."""

    raw: int
    samples: int
    gauges: int
