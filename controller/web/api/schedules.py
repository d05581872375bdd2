"""/api/v1/schedules: changes that are planned for a time or a recurrence."""

from __future__ import annotations

from flask import Blueprint

from controller.domain.principals import Need
from controller.usecases import schedules
from controller.usecases.views.schedules import schedule_page, schedule_view
from controller.web.access import needs, order, services
from controller.web.operation import operation
from controller.wire.api.common import Page
from controller.wire.api.queries import ScheduleQuery
from controller.wire.api.schedules import CancelBody, ScheduleBody, ScheduleView, schedule_of

blueprint = Blueprint("schedules", __name__)


@blueprint.get("/api/v1/schedules")
@needs(Need.READ)
@operation()
def list_schedules(query: ScheduleQuery) -> Page[ScheduleView]:
    """Planned changes in the order in which they were planned, with what became of them so far."""
    with services().database.read() as connection:
        return schedule_page(connection, query.after, query.limit, query.state)


@blueprint.post("/api/v1/schedules")
@needs(Need.OPERATE)
@operation(201)
def plan_change(body: ScheduleBody) -> ScheduleView:
    """Plan a change, once or again and again; it is done in the name of whoever plans it."""
    here = services()
    made = schedules.plan(here.database, schedule_of(body), order(body.reason))
    here.changed()
    return _schedule(made.id)


@blueprint.get("/api/v1/schedules/<int(max=9007199254740992):number>")
@needs(Need.READ)
@operation()
def get_schedule(number: int) -> ScheduleView:
    """One planned change."""
    return _schedule(number)


@blueprint.post("/api/v1/schedules/<int(max=9007199254740992):number>/cancel")
@needs(Need.OPERATE)
@operation()
def cancel_schedule(number: int, body: CancelBody) -> ScheduleView:
    """Call a planned change off; what it has done so far stays."""
    here = services()
    schedules.cancel(here.database, number, order(body.reason, body.version))
    here.changed()
    return _schedule(number)


def _schedule(number: int) -> ScheduleView:
    with services().database.read() as connection:
        return schedule_view(connection, number)
