"""/api/v1/audit."""

from __future__ import annotations

from flask import Blueprint, Response

from controller.domain.principals import Need
from controller.usecases.views.audit import audit_page
from controller.web.access import needs, services
from controller.web.http import MOST_NUMBER, answer, limit, number

blueprint = Blueprint("audit", __name__)


@blueprint.get("/api/v1/audit")
@needs(Need.READ)
def list_audit() -> Response:
    """Who changed what, when and why: the newest first."""
    with services().database.read() as connection:
        return answer(audit_page(connection, number("before", MOST_NUMBER, 1), limit()))
