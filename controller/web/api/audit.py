"""/api/v1/audit: who changed what, the chain that holds it, and whether it still does."""

from __future__ import annotations

from flask import Blueprint

from controller.domain.chain import head_of
from controller.domain.errors import Invalid
from controller.domain.principals import Need
from controller.storage.history import AuditFilter
from controller.usecases.views.audit import audit_check, audit_page, chain_page
from controller.web.access import needs, services
from controller.web.operation import Reply, operation
from controller.wire.api.common import Page
from controller.wire.api.people import AuditCheck, AuditView
from controller.wire.api.queries import AuditQuery, ChainQuery, CheckQuery
from controller.wire.codec import encode

blueprint = Blueprint("audit", __name__)


@blueprint.get("/api/v1/audit")
@needs(Need.READ)
@operation()
def list_audit(query: AuditQuery) -> Page[AuditView]:
    """Who changed what, when and why: the newest first."""
    wanted = AuditFilter(query.actor, query.action, query.subject, query.since_ms, query.until_ms)
    with services().database.read() as connection:
        return audit_page(connection, query.before, query.limit, wanted)


@blueprint.get("/api/v1/audit/export")
@needs(Need.READ)
@operation(gives=AuditView, media="application/x-ndjson")
def export_audit(query: ChainQuery) -> Reply:
    """The chain from the oldest entry on, as JSON lines; the header `Canary-Next` is the cursor of what follows."""
    with services().database.read() as connection:
        page = chain_page(connection, query.after, query.limit)
    lines = b"".join(encode(entry) + b"\n" for entry in page.items)
    headers = {} if page.next is None else {"Canary-Next": str(page.next)}
    return Reply(lines, headers=headers, media="application/x-ndjson")


@blueprint.get("/api/v1/audit/check")
@needs(Need.READ)
@operation()
def check_audit(query: CheckQuery) -> AuditCheck:
    """Recompute the whole chain; says what was changed or is missing."""
    noted = head_of(query.head) if query.head else None
    if query.head and noted is None:
        raise Invalid("a head is written NUMBER:DIGEST, as this answers it", field="head")
    with services().database.read() as connection:
        return audit_check(connection, noted)
