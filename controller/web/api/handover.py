"""/api/v1/handover: what whoever takes over has to know."""

from __future__ import annotations

from flask import Blueprint

from controller.domain.principals import Need
from controller.usecases.views.handover import handover_view
from controller.web.access import needs, services
from controller.web.operation import operation
from controller.wire.api.handover import HandoverView

blueprint = Blueprint("handover", __name__)


@blueprint.get("/api/v1/handover")
@needs(Need.READ)
@operation()
def hand_over() -> HandoverView:
    """Live rollouts with what holds them and what comes next, freezes, planned changes, and open alerts."""
    here = services()
    with here.database.read() as connection:
        return handover_view(connection, here.clock())
