"""/api/v1/segments."""

from __future__ import annotations

from flask import Blueprint

from controller.domain.principals import Need
from controller.domain.segments import Segment
from controller.usecases import segments
from controller.usecases.views.flags import segment_page, segment_view
from controller.web.access import needs, principal, services
from controller.web.http import request_id
from controller.web.operation import operation
from controller.wire.api.common import Page, PageQuery
from controller.wire.api.flags import SegmentBody, SegmentPatch, SegmentView
from controller.wire.api.queries import RemovalQuery
from controller.wire.targeting import condition_of

blueprint = Blueprint("segments", __name__)


@blueprint.get("/api/v1/segments")
@needs(Need.READ)
@operation()
def list_segments(query: PageQuery) -> Page[SegmentView]:
    """All segments, by key."""
    with services().database.read() as connection:
        return segment_page(connection, query.after, query.limit)


@blueprint.post("/api/v1/segments")
@needs(Need.OPERATE)
@operation(201)
def create_segment(body: SegmentBody) -> SegmentView:
    """A new segment."""
    here = services()
    now_ms = here.clock()
    when = condition_of(body.when, "when")
    segment = Segment(body.key, when, body.description, created_ms=now_ms, updated_ms=now_ms)
    segments.create(here.database, segment, actor=principal().name, request_id=request_id())
    here.changed()
    return _segment(segment.key)


@blueprint.get("/api/v1/segments/<key:key>")
@needs(Need.READ)
@operation()
def get_segment(key: str) -> SegmentView:
    """One segment, with the flags that name it."""
    return _segment(key)


@blueprint.patch("/api/v1/segments/<key:key>")
@needs(Need.OPERATE)
@operation()
def change_segment(key: str, body: SegmentPatch) -> SegmentView:
    """Change a segment at the version it was read at."""
    here, who = services(), principal()
    segments.change(
        here.database,
        key,
        body.version,
        actor=who.name,
        now_ms=here.clock(),
        reason=body.reason,
        when=condition_of(body.when, "when") if body.when is not None else None,
        description=body.description,
        request_id=request_id(),
        scope=who.scope,
    )
    here.changed()
    return _segment(key)


@blueprint.delete("/api/v1/segments/<key:key>")
@needs(Need.OPERATE)
@operation()
def remove_segment(key: str, query: RemovalQuery) -> None:
    """Remove a segment that no flag names, at the version it was read at."""
    here, who = services(), principal().name
    now_ms, why = here.clock(), query.reason
    segments.remove(here.database, key, query.version, actor=who, now_ms=now_ms, reason=why, request_id=request_id())
    here.changed()


def _segment(key: str) -> SegmentView:
    with services().database.read() as connection:
        return segment_view(connection, key)
