"""Segments: conditions with a name, shared by the rules of any flags."""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.conditions import Condition, check_condition, segments_in
from controller.domain.errors import Invalid
from controller.domain.flags import checked_key


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment as it is kept.

    Attributes:
        when: who belongs to it; it names no other segment, so that a change of one is seen where it is made.
        version: grows by one with each change; a change names the version it was read at.
    """

    key: str
    when: Condition
    description: str = ""
    version: int = 1
    created_ms: int = 0
    updated_ms: int = 0

    def __post_init__(self) -> None:
        checked_key(self.key, "key")
        check_condition(self.when, "when")
        if segments_in(self.when):
            raise Invalid("a segment names no other segment; write its condition out", field="when")
