"""/api/v1/approvals; agreeing to one is a verb of its rollout."""

from __future__ import annotations

from flask import Blueprint

from controller.domain.principals import Need
from controller.usecases.views.approvals import approval_page
from controller.web.access import needs, services
from controller.web.operation import operation
from controller.wire.api.approvals import ApprovalView
from controller.wire.api.common import Page
from controller.wire.api.queries import ApprovalQuery

blueprint = Blueprint("approvals", __name__)


@blueprint.get("/api/v1/approvals")
@needs(Need.READ)
@operation()
def list_approvals(query: ApprovalQuery) -> Page[ApprovalView]:
    """What the next stages of live rollouts need a person's agreement for, those that wait for it first."""
    here = services()
    with here.database.read() as connection:
        return approval_page(connection, here.clock(), query.after, query.limit, state=query.state)
