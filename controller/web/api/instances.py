"""/api/v1/instances."""

from __future__ import annotations

from flask import Blueprint, Response

from controller.domain.principals import Need
from controller.usecases.views.instances import instance_page
from controller.web.access import needs, services
from controller.web.http import answer, limit, number

blueprint = Blueprint("instances", __name__)


@blueprint.get("/api/v1/instances")
@needs(Need.READ)
def list_instances() -> Response:
    """The client processes, by id."""
    here = services()
    with here.database.read() as connection:
        return answer(instance_page(connection, here.clock(), number("after", 0), limit()))
