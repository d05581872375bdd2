"""What has been decided and changed, read back in pages; storage/record.py is the only one that writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from controller.storage.audit import CHAINED
from controller.storage.tables import audit, decisions


def decisions_after(
    connection: Connection, rollout: str, last_id: int, limit: int, action: str = ""
) -> list[dict[str, Any]]:
    """Decisions on a rollout behind an id, all or those of one kind, in order, as plain rows."""
    statement = select(decisions).where(decisions.c.rollout == rollout, decisions.c.id > last_id)
    statement = statement.where(decisions.c.action == action) if action else statement
    return [row._asdict() for row in connection.execute(statement.order_by(decisions.c.id).limit(limit))]


def newest_decisions(connection: Connection, rollout: str, limit: int) -> list[dict[str, Any]]:
    """The last decisions on a rollout, the newest first, as plain rows."""
    statement = select(decisions).where(decisions.c.rollout == rollout).order_by(decisions.c.id.desc()).limit(limit)
    return [row._asdict() for row in connection.execute(statement)]


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which audit entries are wanted; empty fields let all through. `rollout/` as a subject is all rollouts."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    since_ms: int = 0
    until_ms: int = 2**53


def audit_before(
    connection: Connection, first_id: int, limit: int, wanted: AuditFilter = AuditFilter()
) -> list[dict[str, Any]]:
    """Audit entries older than an id, the newest first, as plain rows."""
    statement = select(*(audit.c[name] for name in CHAINED)).where(audit.c.id < first_id)
    statement = statement.where(audit.c.at_ms >= wanted.since_ms, audit.c.at_ms < wanted.until_ms)
    for column, text in ((audit.c.actor, wanted.actor), (audit.c.action, wanted.action)):
        statement = statement.where(column == text) if text else statement
    if wanted.subject.endswith("/"):
        statement = statement.where(audit.c.subject.startswith(wanted.subject, autoescape=True))
    elif wanted.subject:
        statement = statement.where(audit.c.subject == wanted.subject)
    rows = connection.execute(statement.order_by(audit.c.id.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]
