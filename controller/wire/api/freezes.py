"""Freeze windows as the REST interface shows and takes them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from controller.domain.durations import duration_ms
from controller.domain.freezes import Entering, Freeze, Window
from controller.domain.scopes import scope_of
from controller.wire.api.common import Flags, Moment, Reason, Version

_Entering = Literal["hold", "ramp_down"]
_Cron = Annotated[str, Meta(max_length=100, description="Five fields of cron: minute, hour, day, month, weekday.")]
_Zone = Annotated[str, Meta(max_length=100, description="A time zone such as Europe/Berlin.")]


class FreezeBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new freeze: once from `from_ms` until `until_ms`, or for `lasts` from each time of `cron`."""

    key: Annotated[str, Meta(max_length=128)]
    reason: Annotated[str, Meta(max_length=500)]
    flags: Flags = []
    entering: _Entering = "hold"
    from_ms: Moment | None = None
    until_ms: Moment | None = None
    cron: _Cron = ""
    lasts: Annotated[str, Meta(max_length=20, description="Such as 16h.")] = ""
    zone: _Zone = "UTC"


class FreezePatch(msgspec.Struct, forbid_unknown_fields=True):
    """A change of a freeze, at the version it was read at; `why` goes into the audit trail."""

    version: Version
    reason: Annotated[str, Meta(max_length=500)] | None = None
    entering: _Entering | None = None
    until_ms: Moment | None = None
    why: Reason = ""


class FreezeView(msgspec.Struct):
    """A freeze.

    Attributes:
        flags: whose rollouts it holds; empty: all.
        when: its time in words.
        active_until_ms: until when it is on; None while it is not. next_ms: when it begins (again).
    """

    key: str
    reason: str
    flags: list[str]
    entering: str
    from_ms: int | None
    until_ms: int | None
    cron: str
    lasts_ms: int
    zone: str
    when: str
    active_until_ms: int | None
    next_ms: int | None
    created_by: str
    created_ms: int
    version: int


def freeze_of(form: FreezeBody, now_ms: int) -> Freeze:
    """The freeze that a form asks for; without a beginning it begins now.

    Raises:
        Invalid: a field does not fit; it is named.
    """
    begins_ms = now_ms if form.from_ms is None else form.from_ms
    return Freeze(
        key=form.key,
        reason=form.reason,
        scope=scope_of(form.flags),
        entering=Entering(form.entering),
        window=None if form.until_ms is None else Window(begins_ms, form.until_ms),
        cron=form.cron,
        lasts_ms=duration_ms(form.lasts, "lasts") if form.cron else 0,
        zone=form.zone,
    )
