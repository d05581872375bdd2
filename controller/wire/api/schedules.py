"""Planned changes as the REST interface shows and takes them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from controller.domain.schedules import Planned, Schedule
from controller.wire.api.common import Moment, Reason, Version

_Action = Literal["enable", "disable", "serve", "start", "set_share"]


class ScheduleBody(msgspec.Struct, forbid_unknown_fields=True):
    """A change to plan: once at `at_ms`, or at each time of `cron`.

    `subject` is a flag's key for enable, disable and serve (`value`: a variant), a rollout's for start and set_share
    (`value`: a share such as 25%).
    """

    action: _Action
    subject: Annotated[str, Meta(max_length=128)]
    value: Annotated[str, Meta(max_length=128)] = ""
    at_ms: Moment | None = None
    cron: Annotated[str, Meta(max_length=100, description="Five fields of cron.")] = ""
    zone: Annotated[str, Meta(max_length=100, description="A time zone such as Europe/Berlin.")] = "UTC"
    reason: Reason = ""


class CancelBody(msgspec.Struct, forbid_unknown_fields=True):
    """A planned change is called off; at the version it was read at, or whatever it is now."""

    version: Version | None = None
    reason: Reason = ""


class RunView(msgspec.Struct):
    """What became of a planned change at one of its times."""

    due_ms: int
    at_ms: int
    outcome: str
    message: str


class ScheduleView(msgspec.Struct):
    """A planned change, with what became of it so far, the newest first."""

    id: int
    action: str
    subject: str
    value: str
    words: str
    state: str
    next_ms: int | None
    cron: str
    zone: str
    reason: str
    created_by: str
    created_ms: int
    version: int
    runs: list[RunView] = []


def schedule_of(form: ScheduleBody) -> Schedule:
    """The schedule that a form asks for."""
    return Schedule(0, Planned(form.action), form.subject, form.value, form.at_ms, form.cron, form.zone)
