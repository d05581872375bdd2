"""The audit trail: read in pages, exported, and checked from end to end."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.domain.chain import ChainCheck, Head
from controller.storage import audit, history
from controller.storage.history import AuditFilter
from controller.usecases.views.paging import page
from controller.wire.api.common import MOST_NUMBER, Page
from controller.wire.api.people import AuditCheck, AuditView


def audit_page(
    connection: Connection, before: int = MOST_NUMBER, limit: int = 100, wanted: AuditFilter | None = None
) -> Page[AuditView]:
    """Audit entries, the newest first; the cursor is the oldest one's id."""
    rows = history.audit_before(connection, before, limit + 1, wanted or AuditFilter())
    return page(rows, limit, lambda row: AuditView(**row), lambda row: int(row["id"]))


def chain_page(connection: Connection, after: int, limit: int) -> Page[AuditView]:
    """Entries of the chain from the oldest on; the cursor is the last one's number in it."""
    rows = audit.chained(connection, after, limit + 1)
    return page(rows, limit, lambda row: AuditView(**row), lambda row: int(row["seq"]))


def audit_check(connection: Connection, noted: Head | None = None) -> AuditCheck:
    """Recompute the whole chain; `noted` is a head to be met on the way, beside the one that is remembered here."""
    remembered = audit.head(connection)
    check = ChainCheck((remembered,) if noted is None else (remembered, noted))
    for rows in audit.pages(connection):
        if not check.follow(rows):
            break
    intact = check.end()
    if intact and check.head.seq > audit.head(connection).seq:
        intact, check.fault = False, f"entries beyond {remembered.seq} were not written by a controller"
    return AuditCheck(intact, check.head.seq, str(check.head), check.fault, audit.unchained(connection))
