"""Flags and segments as the REST interface shows and takes them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from controller.wire.api.common import Reason
from controller.wire.targeting import ConditionForm, TargetingForm


class FlagBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new flag."""

    key: str
    variants: dict[str, Any]
    control: str
    served: str = ""
    description: Annotated[str, Meta(max_length=500)] = ""
    enabled: bool = True
    targeting: TargetingForm = msgspec.field(default_factory=TargetingForm)
    prerequisites: Annotated[list[Any], Meta(description="Refused: see docs/flags.md.")] = []


class FlagPatch(msgspec.Struct, forbid_unknown_fields=True):
    """A change of a flag, at the version it was read at."""

    version: int
    enabled: bool | None = None
    served: str | None = None
    description: Annotated[str, Meta(max_length=500)] | None = None
    reason: Reason = ""
    targeting: TargetingForm | None = None


class FlagView(msgspec.Struct):
    """A flag; `withdrawn` are variants that a rollback took from everybody, rules and lists notwithstanding."""

    key: str
    variants: dict[str, Any]
    control: str
    served: str
    enabled: bool
    description: str
    version: int
    updated_ms: int
    rollout: str | None = None
    targeting: TargetingForm = msgspec.field(default_factory=TargetingForm)
    withdrawn: list[str] = []


class SegmentBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new segment."""

    key: str
    when: ConditionForm
    description: Annotated[str, Meta(max_length=500)] = ""


class SegmentPatch(msgspec.Struct, forbid_unknown_fields=True):
    """A change of a segment, at the version it was read at."""

    version: int
    when: ConditionForm | None = None
    description: Annotated[str, Meta(max_length=500)] | None = None
    reason: Reason = ""


class SegmentView(msgspec.Struct):
    """A segment, and the flags that name it."""

    key: str
    when: ConditionForm
    description: str
    version: int
    updated_ms: int
    flags: list[str] = []
