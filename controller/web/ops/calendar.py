"""Freezes and planned changes: what holds, what will happen, and adding to or taking from both."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import Response, make_response

from controller.domain.errors import Invalid, Refusal
from controller.domain.principals import Need
from controller.domain.schedules import Planned
from controller.storage import flags as flag_rows
from controller.storage import rollouts as rollout_rows
from controller.usecases import freezes, schedules
from controller.usecases.views.freezes import freeze_page, freeze_view
from controller.usecases.views.schedules import schedule_page, schedule_view, upcoming
from controller.web.access import needs, services
from controller.web.ops.forms import Form
from controller.web.ops.site import blueprint, confirm, done, page
from controller.wire.api.freezes import FreezeBody, freeze_of
from controller.wire.api.schedules import ScheduleBody, schedule_of
from controller.wire.codec import convert

_MOST = 200
_FREEZE = ("key", "reason", "flags", "entering", "from", "until", "cron", "lasts", "zone")
_PLAN = ("action", "subject", "value", "at", "cron", "zone", "reason")
_LONGEST = 1_000
#: As browsers write a field of the kind `datetime-local`.
_LOCAL = "%Y-%m-%dT%H:%M"


@blueprint.get("/freezes")
@needs(Need.READ)
def show_freezes() -> str:
    """The calendar of freezes."""
    return _freezes()


@blueprint.post("/freezes")
@needs(Need.OPERATE)
def add_freeze() -> Response:
    """A new freeze; one without a beginning is on at once."""
    form, here = Form(), services()
    try:
        now_ms, order = here.clock(), form.order()
        freezes.add(here.database, freeze_of(_freeze_body(form), now_ms), order)
    except Refusal as refusal:
        return make_response(_freezes(form, refusal), refusal.status)
    here.changed()
    return done("/freezes")


@blueprint.get("/freezes/<key:key>/remove")
@needs(Need.READ)
def ask_to_remove_freeze(key: str) -> Response:
    """The confirmation that ends a freeze."""
    return _ask_about_freeze(key)


@blueprint.post("/freezes/<key:key>/remove")
@needs(Need.OPERATE)
def remove_freeze(key: str) -> Response:
    """End a freeze, now and for good."""
    form, here = Form(), services()
    try:
        freezes.remove(here.database, key, form.order())
    except Refusal as refusal:
        return _ask_about_freeze(key, refusal, form)
    here.changed()
    return done("/freezes")


@blueprint.get("/schedules")
@needs(Need.READ)
def show_schedules() -> str:
    """What is planned, and what became of what was."""
    return _schedules()


@blueprint.post("/schedules")
@needs(Need.OPERATE)
def plan_change() -> Response:
    """Plan a change, once or again and again."""
    form, here = Form(), services()
    try:
        schedules.plan(here.database, schedule_of(_plan_body(form)), form.order())
    except Refusal as refusal:
        return make_response(_schedules(form, refusal), refusal.status)
    here.changed()
    return done("/schedules")


@blueprint.get("/schedules/<int(max=9007199254740992):number>/cancel")
@needs(Need.READ)
def ask_to_cancel(number: int) -> Response:
    """The confirmation that calls a planned change off."""
    return _ask_about_schedule(number)


@blueprint.post("/schedules/<int(max=9007199254740992):number>/cancel")
@needs(Need.OPERATE)
def cancel_schedule(number: int) -> Response:
    """Call a planned change off."""
    form, here = Form(), services()
    try:
        schedules.cancel(here.database, number, form.order())
    except Refusal as refusal:
        return _ask_about_schedule(number, refusal, form)
    here.changed()
    return done("/schedules")


def moment_ms(text: str, zone: str, field: str) -> int | None:
    """A field of the kind `datetime-local` in a time zone, in milliseconds; None where it is empty.

    Raises:
        Invalid: it is no such time, or there is no such zone.
    """
    if not text:
        return None
    try:
        at = datetime.strptime(text[:16], _LOCAL).replace(tzinfo=ZoneInfo(zone) if zone else UTC)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            "write a time such as 2026-03-01T22:00, in a time zone such as Europe/Berlin", field=field
        ) from None
    return round(at.timestamp() * 1000)


def _freezes(form: Form | None = None, refusal: Refusal | None = None) -> str:
    here = services()
    with here.database.read() as connection:
        found = freeze_page(connection, here.clock(), 0, _MOST).items
    given = _given(form, _FREEZE)
    return page("freezes.html", found=found, given=given, refusal=refusal)


def _schedules(form: Form | None = None, refusal: Refusal | None = None) -> str:
    with services().database.read() as connection:
        coming = upcoming(connection, _MOST)
        past = [one for one in schedule_page(connection, 0, _MOST).items if one.next_ms is None]
        known = {
            "flags": [flag.key for flag in flag_rows.every(connection)],
            "rollouts": [rollout.key for rollout in rollout_rows.every(connection)],
        }
    given = _given(form, _PLAN)
    newest = sorted(past, key=lambda one: -one.id)
    return page(
        "schedules.html", coming=coming, past=newest, known=known, actions=list(Planned), given=given, refusal=refusal
    )


def _ask_about_freeze(key: str, refusal: Refusal | None = None, form: Form | None = None) -> Response:
    here = services()
    with here.database.read() as connection:
        found = freeze_view(connection, key, here.clock())
    return confirm(
        f"/freezes/{key}/remove",
        question="End this freeze?",
        subject=key,
        consequence=f"{found.reason}. Rollouts that it holds go on by themselves.",
        label="End the freeze",
        version=found.version,
        back="/freezes",
        plain=False,
        refusal=refusal,
        reason=form.line("reason", most=10_000) if form else "",
    )


def _ask_about_schedule(number: int, refusal: Refusal | None = None, form: Form | None = None) -> Response:
    with services().database.read() as connection:
        found = schedule_view(connection, number)
    return confirm(
        f"/schedules/{number}/cancel",
        question="Call this off?",
        subject=found.words,
        consequence="What it has done so far stays.",
        label="Call it off",
        version=found.version,
        back="/schedules",
        plain=False,
        refusal=refusal,
        reason=form.line("reason", most=10_000) if form else "",
    )


def _freeze_body(form: Form) -> FreezeBody:
    zone = form.line("zone") or "UTC"
    document: dict[str, Any] = {name: form.line(name) for name in ("key", "reason", "cron", "lasts")}
    document |= {"zone": zone, "entering": form.line("entering") or "hold"}
    document["flags"] = [key for key in form.line("flags").replace(",", " ").split() if key]
    for name in ("from", "until"):
        document[f"{name}_ms"] = moment_ms(form.line(name), zone, name)
    return convert(document, FreezeBody)


def _plan_body(form: Form) -> ScheduleBody:
    zone = form.line("zone") or "UTC"
    document: dict[str, Any] = {name: form.line(name) for name in ("action", "subject", "value", "cron", "reason")}
    return convert({**document, "zone": zone, "at_ms": moment_ms(form.line("at"), zone, "at")}, ScheduleBody)


def _given(form: Form | None, names: tuple[str, ...]) -> dict[str, str]:
    return {name: form.line(name, most=10_000)[:_LONGEST] if form else "" for name in names}
