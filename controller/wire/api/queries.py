"""The query strings of lists: which part of them, and what is wanted."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from controller.wire.api.common import MOST_NUMBER, After, Limit, Moment, PageQuery

_Words = Annotated[str, Meta(max_length=200)]
_State = Literal["", "planned", "done", "refused", "missed", "cancelled"]
_Phase = Literal[
    "", "draft", "measuring", "progressing", "paused", "rolling_back", "promoted", "rolled_back", "aborted"
]


class FlagQuery(PageQuery, forbid_unknown_fields=True):
    """Which flags."""

    search: Annotated[_Words, Meta(description="Text in the key or the description.")] = ""
    enabled: Annotated[bool | None, Meta(description="Only those that are (not) killed.")] = None


class RolloutQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which rollouts."""

    after: After = 0
    limit: Annotated[int, Meta(ge=1, le=200, description="How many at most.")] = 50
    phase: _Phase = ""
    flag: _Words = ""
    owner: _Words = ""


class DecisionQuery(PageQuery, forbid_unknown_fields=True):
    """Which decisions."""

    action: Annotated[_Words, Meta(description="Only these, such as rollback.")] = ""


class LimitQuery(msgspec.Struct, forbid_unknown_fields=True):
    """How much of a list."""

    limit: Limit = 100


class SeriesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which lines of a chart."""

    event: Annotated[str, Meta(max_length=100, description="One event alone.")] | None = None


class ImpactQuery(msgspec.Struct, forbid_unknown_fields=True):
    """A period; by default from the start of the rollout until now."""

    from_ms: Moment | None = None
    to_ms: Moment | None = None


class InstanceQuery(PageQuery, forbid_unknown_fields=True):
    """Which instances."""

    state: Annotated[Literal["", "live", "expired", "gone"], Meta(description="Only those.")] = ""


class AuditQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which audit entries, the newest first."""

    before: Annotated[int, Meta(ge=1, le=MOST_NUMBER, description="Older than this id.")] = MOST_NUMBER
    limit: Limit = 100
    actor: _Words = ""
    action: Annotated[_Words, Meta(description="Such as flag.killed.")] = ""
    subject: Annotated[_Words, Meta(description="Such as rollout/KEY, or rollout/ for all rollouts.")] = ""
    since_ms: Moment = 0
    until_ms: Moment = MOST_NUMBER


class ChainQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which entries of the chain, from the oldest on."""

    after: Annotated[int, Meta(ge=0, le=MOST_NUMBER, description="Behind this number of the chain.")] = 0
    limit: Annotated[int, Meta(ge=1, le=10_000, description="How many at most.")] = 10_000


class CheckQuery(msgspec.Struct, forbid_unknown_fields=True):
    """What the chain must contain."""

    head: Annotated[str, Meta(max_length=100, description="A head that was noted: NUMBER:DIGEST.")] = ""


class FreezeQuery(PageQuery, forbid_unknown_fields=True):
    """Which freezes."""

    active: Annotated[bool | None, Meta(description="Only those that are (not) on.")] = None


class ApprovalQuery(PageQuery, forbid_unknown_fields=True):
    """Which approvals."""

    state: Literal["", "needed", "asked", "given", "late"] = ""


class ScheduleQuery(PageQuery, forbid_unknown_fields=True):
    """Which planned changes."""

    state: _State = ""


class RemovalQuery(msgspec.Struct, forbid_unknown_fields=True):
    """The version that it was read at, and why it is removed."""

    version: Annotated[int, Meta(ge=0, le=MOST_NUMBER, description="That it was read at.")] = 0
    reason: Annotated[str, Meta(max_length=500, description="Why; the audit trail keeps it.")] = ""
