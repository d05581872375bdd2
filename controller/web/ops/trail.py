"""The audit trail: who changed what, when and why."""

from __future__ import annotations

from controller.domain.principals import Need
from controller.usecases.views.history import audit_page
from controller.web.access import needs, services
from controller.web.http import MOST_NUMBER, number
from controller.web.ops.site import blueprint, page

_MOST = 50


@blueprint.get("/audit")
@needs(Need.READ)
def show_audit() -> str:
    """The newest entries; `?before=` goes back."""
    with services().database.read() as connection:
        found = audit_page(connection, number("before", MOST_NUMBER, 1), _MOST)
    return page("audit.html", entries=found.items, following=found.next)
