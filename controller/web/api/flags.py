"""/api/v1/flags."""

from __future__ import annotations

from flask import Blueprint

from controller.domain.flags import Flag
from controller.domain.principals import Need
from controller.usecases import flags
from controller.usecases.flags import FlagChange
from controller.usecases.views.flags import flag_page, flag_view
from controller.web.access import needs, principal, services
from controller.web.http import request_id
from controller.web.operation import operation
from controller.wire.api.common import Page
from controller.wire.api.flags import FlagBody, FlagPatch, FlagView
from controller.wire.api.queries import FlagQuery
from controller.wire.targeting import refuse_prerequisites, targeting_of

blueprint = Blueprint("flags", __name__)


@blueprint.get("/api/v1/flags")
@needs(Need.READ)
@operation()
def list_flags(query: FlagQuery) -> Page[FlagView]:
    """All flags, by key."""
    with services().database.read() as connection:
        return flag_page(connection, query.after, query.limit, search=query.search, enabled=query.enabled)


@blueprint.post("/api/v1/flags")
@needs(Need.OPERATE)
@operation(201)
def create_flag(body: FlagBody) -> FlagView:
    """A new flag."""
    here, who = services(), principal()
    refuse_prerequisites(body.prerequisites, "prerequisites")
    now_ms = here.clock()
    flag = Flag(
        key=body.key,
        variants=body.variants,
        control=body.control,
        served=body.served or body.control,
        enabled=body.enabled,
        description=body.description,
        created_ms=now_ms,
        updated_ms=now_ms,
        targeting=targeting_of(body.targeting),
    )
    flags.create(here.database, flag, actor=who.name, request_id=request_id(), scope=who.scope)
    here.changed()
    return _flag(flag.key)


@blueprint.get("/api/v1/flags/<key:key>")
@needs(Need.READ)
@operation()
def get_flag(key: str) -> FlagView:
    """One flag."""
    return _flag(key)


@blueprint.patch("/api/v1/flags/<key:key>")
@needs(Need.OPERATE)
@operation()
def change_flag(key: str, body: FlagPatch) -> FlagView:
    """Change a flag at the version it was read at; `enabled: false` is the kill switch."""
    here, who = services(), principal()
    targeting = targeting_of(body.targeting) if body.targeting is not None else None
    flags.change(
        here.database,
        key,
        body.version,
        FlagChange(body.enabled, body.served, body.description, targeting),
        actor=who.name,
        now_ms=here.clock(),
        reason=body.reason,
        request_id=request_id(),
        scope=who.scope,
    )
    here.changed()
    return _flag(key)


def _flag(key: str) -> FlagView:
    with services().database.read() as connection:
        return flag_view(connection, key)
