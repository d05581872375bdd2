"""Handing over: what is under way, what holds it, and what comes next; on one page that prints well."""

from __future__ import annotations

from flask import Response

from controller.domain.principals import Need
from controller.usecases.views.handover import handover_view
from controller.web.access import needs, services
from controller.web.ops.site import blueprint, fragment, live, page


@blueprint.get("/handover")
@needs(Need.READ)
def show_handover() -> str:
    """Everything that whoever takes over has to know."""
    return page("handover.html", body=_handover())


@blueprint.get("/fragments/handover")
@needs(Need.READ)
def fragment_handover() -> Response:
    """The live part of it."""
    return fragment(_handover)


def _handover() -> str:
    here = services()
    with here.database.read() as connection:
        found = handover_view(connection, here.clock())
    return live("_handover.html", "/fragments/handover", found=found)
