"""/api/v1/instances."""

from __future__ import annotations

from flask import Blueprint

from controller.domain.principals import Need
from controller.usecases.views.instances import instance_page
from controller.web.access import needs, services
from controller.web.operation import operation
from controller.wire.api.common import Page
from controller.wire.api.people import InstanceView
from controller.wire.api.queries import InstanceQuery

blueprint = Blueprint("instances", __name__)


@blueprint.get("/api/v1/instances")
@needs(Need.READ)
@operation()
def list_instances(query: InstanceQuery) -> Page[InstanceView]:
    """The client processes, by id."""
    here = services()
    with here.database.read() as connection:
        return instance_page(connection, here.clock(), query.after, query.limit, state=query.state)
