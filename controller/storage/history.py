"""What has been decided and changed, read back in pages; storage/record.py is the only one that writes it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from controller.storage.tables import audit, decisions


def decisions_after(connection: Connection, rollout: str, last_id: int, limit: int) -> list[dict[str, Any]]:
    """Decisions on a rollout behind an id, in order, as plain rows."""
    statement = select(decisions).where(decisions.c.rollout == rollout, decisions.c.id > last_id)
    return [row._asdict() for row in connection.execute(statement.order_by(decisions.c.id).limit(limit))]


def newest_decisions(connection: Connection, rollout: str, limit: int) -> list[dict[str, Any]]:
    """The last decisions on a rollout, the newest first, as plain rows."""
    statement = select(decisions).where(decisions.c.rollout == rollout).order_by(decisions.c.id.desc()).limit(limit)
    return [row._asdict() for row in connection.execute(statement)]


def audit_before(connection: Connection, first_id: int, limit: int) -> list[dict[str, Any]]:
    """Audit entries older than an id, the newest first, as plain rows."""
    statement = select(audit).where(audit.c.id < first_id).order_by(audit.c.id.desc()).limit(limit)
    return [row._asdict() for row in connection.execute(statement)]


def audit_of(connection: Connection, subject: str, limit: int) -> list[dict[str, Any]]:
    """The newest audit entries of one subject, such as `flag/KEY`, as plain rows."""
    statement = select(audit).where(audit.c.subject == subject).order_by(audit.c.id.desc()).limit(limit)
    return [row._asdict() for row in connection.execute(statement)]
