"""Segments: conditions with a name, shared by the rules of any flags."""

from __future__ import annotations

import msgspec
from flask import Response, make_response

from controller.domain.errors import Invalid, Refusal
from controller.domain.principals import Need
from controller.domain.segments import Segment
from controller.usecases import segments
from controller.usecases.documents import parse, written
from controller.usecases.views.flags import segment_page, segment_view
from controller.web.access import needs, services
from controller.web.ops.forms import Form
from controller.web.ops.site import blueprint, done, page
from controller.web.ops.trail import history_of
from controller.wire.codec import convert
from controller.wire.targeting import ConditionForm, condition_of

_MOST = 1_000
_EXAMPLE = "attribute: country\nin: [DE, AT, CH]"


@blueprint.get("/segments")
@needs(Need.READ)
def show_segments() -> str:
    """All segments."""
    with services().database.read() as connection:
        found = segment_page(connection, 0, _MOST).items
    return page("segments.html", found=found)


@blueprint.get("/segments/new")
@needs(Need.OPERATE)
def new_segment() -> str:
    """The form for a new segment."""
    return page("segment_new.html", given={"when": _EXAMPLE}, refusal=None)


@blueprint.post("/segments/new")
@needs(Need.OPERATE)
def create_segment() -> Response:
    """A new segment; whoever is refused keeps what was written."""
    form, here = Form(), services()
    try:
        key = form.needed("key", "give it a key, such as staff")
        when, now_ms = condition_of(_condition(form), "when"), here.clock()
        segment = Segment(key, when, form.line("description"), created_ms=now_ms, updated_ms=now_ms)
        given = form.order()
        segments.create(here.database, segment, actor=given.actor, reason=given.reason, request_id=given.request_id)
    except Refusal as refusal:
        return make_response(page("segment_new.html", given=_given(form), refusal=refusal), refusal.status)
    here.changed()
    return done(f"/segments/{key}")


@blueprint.get("/segments/<key:key>")
@needs(Need.READ)
def show_segment(key: str) -> Response:
    """One segment, its flags and its history."""
    return _shown(key)


@blueprint.post("/segments/<key:key>")
@needs(Need.OPERATE)
def change_segment(key: str) -> Response:
    """Change (or, with `remove`, remove) a segment at the version that the page showed."""
    form, here = Form(), services()
    try:
        order = form.order()
        version = order.version if order.version is not None else -1
        who = {"actor": order.actor, "reason": order.reason, "request_id": order.request_id}
        if form.line("act") == "remove":
            segments.remove(here.database, key, version, now_ms=order.now_ms, **who)
        else:
            when, text = condition_of(_condition(form), "when"), form.line("description")
            segments.change(
                here.database,
                key,
                version,
                now_ms=order.now_ms,
                when=when,
                description=text,
                scope=order.scope,
                **who,
            )
    except Refusal as refusal:
        return _shown(key, refusal, form)
    here.changed()
    return done("/segments" if form.line("act") == "remove" else f"/segments/{key}")


def _shown(key: str, refusal: Refusal | None = None, form: Form | None = None) -> Response:
    with services().database.read() as connection:
        segment = segment_view(connection, key)
        entries = history_of(connection, f"segment/{key}")
    given = {"when": written(msgspec.to_builtins(segment.when)), "description": segment.description, "reason": ""}
    drawn = page(
        "segment.html", segment=segment, entries=entries, given=_given(form) if form else given, refusal=refusal
    )
    return make_response(drawn, 200 if refusal is None else refusal.status)


def _given(form: Form) -> dict[str, str]:
    return {name: form.text(name) for name in ("key", "when", "description", "reason")}


def _condition(form: Form) -> ConditionForm:
    try:
        found = parse(form.text("when")).content
    except Invalid as invalid:
        raise Invalid(invalid.detail, field="when") from None
    if not isinstance(found, dict):
        raise Invalid("write an attribute with one comparison, or and, or, not", field="when")
    return convert(found, ConditionForm)
