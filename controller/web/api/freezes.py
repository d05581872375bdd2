"""/api/v1/freezes: windows in which nothing starts or grows."""

from __future__ import annotations

from flask import Blueprint

from controller.domain.freezes import Entering
from controller.domain.principals import Need
from controller.usecases import freezes
from controller.usecases.freezes import FreezeChange
from controller.usecases.views.freezes import freeze_page, freeze_view
from controller.web.access import needs, order, services
from controller.web.operation import operation
from controller.wire.api.common import Page
from controller.wire.api.freezes import FreezeBody, FreezePatch, FreezeView, freeze_of
from controller.wire.api.queries import FreezeQuery, RemovalQuery

blueprint = Blueprint("freezes", __name__)


@blueprint.get("/api/v1/freezes")
@needs(Need.READ)
@operation()
def list_freezes(query: FreezeQuery) -> Page[FreezeView]:
    """Freezes: those that are on first, then by when they begin."""
    here = services()
    with here.database.read() as connection:
        return freeze_page(connection, here.clock(), query.after, query.limit, active=query.active)


@blueprint.post("/api/v1/freezes")
@needs(Need.OPERATE)
@operation(201)
def add_freeze(body: FreezeBody) -> FreezeView:
    """A new freeze; without `from_ms` it is on at once."""
    here = services()
    freezes.add(here.database, freeze_of(body, here.clock()), order())
    here.changed()
    return _freeze(body.key)


@blueprint.get("/api/v1/freezes/<key:key>")
@needs(Need.READ)
@operation()
def get_freeze(key: str) -> FreezeView:
    """One freeze."""
    return _freeze(key)


@blueprint.patch("/api/v1/freezes/<key:key>")
@needs(Need.OPERATE)
@operation()
def change_freeze(key: str, body: FreezePatch) -> FreezeView:
    """Prolong or shorten a freeze, or change its words, at the version it was read at."""
    here = services()
    entering = None if body.entering is None else Entering(body.entering)
    wanted = FreezeChange(body.reason, entering, body.until_ms)
    freezes.change(here.database, key, wanted, order(body.why, body.version))
    here.changed()
    return _freeze(key)


@blueprint.delete("/api/v1/freezes/<key:key>")
@needs(Need.OPERATE)
@operation()
def remove_freeze(key: str, query: RemovalQuery) -> None:
    """End a freeze, now and for good, at the version it was read at."""
    here = services()
    freezes.remove(here.database, key, order(query.reason, query.version))
    here.changed()


def _freeze(key: str) -> FreezeView:
    here = services()
    with here.database.read() as connection:
        return freeze_view(connection, key, here.clock())
