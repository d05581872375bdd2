"""Alerts as rows: one of each name is open at a time, and every one that was raised stays as history."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from controller.domain.alerts import Alert
from controller.storage.tables import alerts, outbox


def open_alerts(connection: Connection, rollouts: Collection[str]) -> dict[str, dict[str, Alert]]:
    """The open alerts of some rollouts, by rollout and name."""
    statement = select(alerts.c.rollout, alerts.c.name, alerts.c.message, alerts.c.since_ms)
    found: dict[str, dict[str, Alert]] = {}
    rows = connection.execute(statement.where(alerts.c.rollout.in_(sorted(rollouts)), alerts.c.until_ms.is_(None)))
    for rollout, name, message, since_ms in rows:
        found.setdefault(rollout, {})[name] = Alert(name, message, since_ms)
    return found


def every_open(connection: Connection) -> list[dict[str, Any]]:
    """All open alerts, the newest first, as plain rows."""
    statement = select(alerts).where(alerts.c.until_ms.is_(None)).order_by(alerts.c.since_ms.desc(), alerts.c.id)
    return [row._asdict() for row in connection.execute(statement)]


def history(connection: Connection, rollout: str, limit: int) -> list[dict[str, Any]]:
    """The alerts of a rollout, the newest first, as plain rows."""
    statement = select(alerts).where(alerts.c.rollout == rollout).order_by(alerts.c.id.desc()).limit(limit)
    return [row._asdict() for row in connection.execute(statement)]


def move(connection: Connection, rollout: str, raised: Mapping[str, str], cleared: Iterable[str], now_ms: int) -> None:
    """Raise and clear alerts; each that is raised is a notice in the outbox too, each that is cleared another."""
    for name in cleared:
        here = (alerts.c.rollout == rollout) & (alerts.c.name == name) & alerts.c.until_ms.is_(None)
        connection.execute(update(alerts).where(here).values(until_ms=now_ms))
        _notice(connection, rollout, "alert.cleared", name, "", now_ms)
    for name, message in sorted(raised.items()):
        connection.execute(insert(alerts).values(rollout=rollout, name=name, message=message, since_ms=now_ms))
        _notice(connection, rollout, "alert.raised", name, message, now_ms)


def reword(connection: Connection, rollout: str, messages: Mapping[str, str]) -> None:
    """Open alerts say something newer; nobody is told once more."""
    for name, message in sorted(messages.items()):
        here = (alerts.c.rollout == rollout) & (alerts.c.name == name) & alerts.c.until_ms.is_(None)
        connection.execute(update(alerts).where(here).values(message=message))


def clear_all(connection: Connection, rollout: str, now_ms: int) -> None:
    """A rollout is over: nothing is open about it any more."""
    here = (alerts.c.rollout == rollout) & alerts.c.until_ms.is_(None)
    connection.execute(update(alerts).where(here).values(until_ms=now_ms))


def _notice(connection: Connection, rollout: str, kind: str, name: str, message: str, now_ms: int) -> None:
    body = {"actor": "judge", "reason": "", "message": message, "alert": name}
    connection.execute(insert(outbox).values(at_ms=now_ms, kind=kind, subject=f"rollout/{rollout}", body=body))
