"""/api/v1/segments."""

from __future__ import annotations

from flask import Blueprint, Response

from controller.domain.principals import Need
from controller.domain.segments import Segment
from controller.usecases import segments
from controller.usecases.views.flags import segment_page, segment_view
from controller.web.access import needs, principal, services
from controller.web.http import answer, body, limit, number
from controller.wire.api.flags import SegmentBody, SegmentPatch
from controller.wire.targeting import condition_of

blueprint = Blueprint("segments", __name__)


@blueprint.get("/api/v1/segments")
@needs(Need.READ)
def list_segments() -> Response:
    """All segments, by key."""
    with services().database.read() as connection:
        return answer(segment_page(connection, number("after", 0), limit()))


@blueprint.post("/api/v1/segments")
@needs(Need.OPERATE)
def create_segment() -> Response:
    """A new segment."""
    form, here = body(SegmentBody), services()
    now_ms = here.clock()
    when = condition_of(form.when, "when")
    segment = Segment(form.key, when, form.description, created_ms=now_ms, updated_ms=now_ms)
    segments.create(here.database, segment, actor=principal().name)
    here.changed()
    return _segment(segment.key, 201)


@blueprint.get("/api/v1/segments/<key:key>")
@needs(Need.READ)
def get_segment(key: str) -> Response:
    """One segment, with the flags that name it."""
    return _segment(key)


@blueprint.patch("/api/v1/segments/<key:key>")
@needs(Need.OPERATE)
def change_segment(key: str) -> Response:
    """Change a segment at the version it was read at."""
    form, here = body(SegmentPatch), services()
    segments.change(
        here.database,
        key,
        form.version,
        actor=principal().name,
        now_ms=here.clock(),
        reason=form.reason,
        when=condition_of(form.when, "when") if form.when is not None else None,
        description=form.description,
    )
    here.changed()
    return _segment(key)


@blueprint.delete("/api/v1/segments/<key:key>")
@needs(Need.OPERATE)
def remove_segment(key: str) -> Response:
    """Remove a segment that no flag names, at the version it was read at (`?version=`)."""
    here = services()
    segments.remove(here.database, key, number("version", 0), actor=principal().name, now_ms=here.clock())
    here.changed()
    return Response(status=204)


def _segment(key: str, status: int = 200) -> Response:
    with services().database.read() as connection:
        return answer(segment_view(connection, key), status)
