"""The audit trail: who changed what, when and why; by whom, of what, and whether it is as it was written."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import request
from sqlalchemy import Connection

from controller.domain.principals import Need
from controller.storage import history
from controller.storage.history import AuditFilter
from controller.usecases.views.audit import audit_check, audit_page
from controller.web.access import needs, services
from controller.web.http import MOST_NUMBER, number
from controller.web.ops.site import blueprint, page
from controller.wire.api.people import AuditView

_MOST, _MOST_OF_ONE = 50, 50
_FILTERS = ("actor", "action", "subject")


@blueprint.get("/audit")
@needs(Need.READ)
def show_audit() -> str:
    """The newest entries (of whom and of what is asked for); `?before=` goes back, `?check=` recomputes the chain."""
    wanted = {name: value for name in _FILTERS if (value := request.args.get(name, "").strip()[:200])}
    given = {name: wanted.get(name, "") for name in _FILTERS}
    with services().database.read() as connection:
        found = audit_page(
            connection,
            number("before", MOST_NUMBER, 1),
            _MOST,
            AuditFilter(given["actor"], given["action"], given["subject"]),
        )
        check = audit_check(connection) if "check" in request.args else None
    older = urlencode({**wanted, "before": str(found.next)}) if found.next else ""
    return page("audit.html", entries=found.items, older=older, wanted=given, filtered=bool(wanted), check=check)


def history_of(connection: Connection, subject: str) -> list[AuditView]:
    """The newest entries of one subject, such as `flag/KEY`."""
    rows = history.audit_before(connection, MOST_NUMBER, _MOST_OF_ONE, AuditFilter(subject=subject))
    return [AuditView(**row) for row in rows]
