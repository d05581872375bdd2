"""/api/v1/flags."""

from __future__ import annotations

from flask import Blueprint, Response

from controller.domain.flags import Flag
from controller.domain.principals import Need
from controller.usecases import flags
from controller.usecases.flags import FlagChange
from controller.usecases.views.flags import flag_page, flag_view
from controller.web.access import needs, principal, services
from controller.web.http import answer, body, limit, number
from controller.wire.api.flags import FlagBody, FlagPatch
from controller.wire.targeting import refuse_prerequisites, targeting_of

blueprint = Blueprint("flags", __name__)


@blueprint.get("/api/v1/flags")
@needs(Need.READ)
def list_flags() -> Response:
    """All flags, by key."""
    with services().database.read() as connection:
        return answer(flag_page(connection, number("after", 0), limit()))


@blueprint.post("/api/v1/flags")
@needs(Need.OPERATE)
def create_flag() -> Response:
    """A new flag."""
    form, here = body(FlagBody), services()
    refuse_prerequisites(form.prerequisites, "prerequisites")
    now_ms = here.clock()
    flag = Flag(
        key=form.key,
        variants=form.variants,
        control=form.control,
        served=form.served or form.control,
        enabled=form.enabled,
        description=form.description,
        created_ms=now_ms,
        updated_ms=now_ms,
        targeting=targeting_of(form.targeting),
    )
    flags.create(here.database, flag, actor=principal().name)
    here.changed()
    return _flag(flag.key, 201)


@blueprint.get("/api/v1/flags/<key:key>")
@needs(Need.READ)
def get_flag(key: str) -> Response:
    """One flag."""
    return _flag(key)


@blueprint.patch("/api/v1/flags/<key:key>")
@needs(Need.OPERATE)
def change_flag(key: str) -> Response:
    """Change a flag at the version it was read at; `enabled: false` is the kill switch."""
    form, here = body(FlagPatch), services()
    targeting = targeting_of(form.targeting) if form.targeting is not None else None
    wanted = FlagChange(form.enabled, form.served, form.description, targeting)
    flags.change(
        here.database, key, form.version, wanted, actor=principal().name, now_ms=here.clock(), reason=form.reason
    )
    here.changed()
    return _flag(key)


def _flag(key: str, status: int = 200) -> Response:
    with services().database.read() as connection:
        return answer(flag_view(connection, key), status)
