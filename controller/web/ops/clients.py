"""The client processes: who is live, on which revision, with which runs open, and what is odd about them."""

from __future__ import annotations

from flask import Response

from controller.domain.principals import Need
from controller.usecases.views.instances import instance_board
from controller.web.access import needs, services
from controller.web.ops.site import blueprint, fragment, live, page


@blueprint.get("/instances")
@needs(Need.READ)
def show_instances() -> str:
    """Every client process."""
    return page("instances.html", body=_instances())


@blueprint.get("/fragments/instances")
@needs(Need.READ)
def fragment_instances() -> Response:
    """The live part of it."""
    return fragment(_instances)


def _instances() -> str:
    here = services()
    with here.database.read() as connection:
        board = instance_board(connection, here.clock())
    return live("_instances.html", "/fragments/instances", board=board)
