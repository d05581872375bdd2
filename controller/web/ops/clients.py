"""The client processes: who is live, on which revision, with which runs open."""

from __future__ import annotations

from flask import Response

from controller.domain.principals import Need
from controller.usecases.views.instances import instance_page
from controller.web.access import needs, services
from controller.web.http import number
from controller.web.ops.site import blueprint, fragment, live, page

_MOST = 100


@blueprint.get("/instances")
@needs(Need.READ)
def show_instances() -> str:
    """The processes by id."""
    return page("instances.html", body=_instances())


@blueprint.get("/fragments/instances")
@needs(Need.READ)
def fragment_instances() -> Response:
    """The live part of it."""
    return fragment(_instances)


def _instances() -> str:
    here, after = services(), number("after", 0)
    with here.database.read() as connection:
        found = instance_page(connection, here.clock(), after, _MOST)
    refresh = f"/fragments/instances?after={after}"
    return live("_instances.html", refresh, found=found.items, following=found.next)
