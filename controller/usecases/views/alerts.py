"""What people should look at: alerts, and application versions in quarantine."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from controller.storage import alerts, quarantines
from controller.wire.api.judging import QuarantineView
from controller.wire.api.rollouts import AlertView


def open_alerts(connection: Connection) -> list[AlertView]:
    """All open alerts, the newest first."""
    return [_view(row) for row in alerts.every_open(connection)]


def alert_history(connection: Connection, rollout: str, limit: int) -> list[AlertView]:
    """The alerts of a rollout, the newest first."""
    return [_view(row) for row in alerts.history(connection, rollout, limit)]


def quarantine_views(connection: Connection) -> list[QuarantineView]:
    """All application versions in quarantine."""
    return [QuarantineView(*one) for one in quarantines.every(connection)]


def _view(row: dict[str, Any]) -> AlertView:
    return AlertView(row["rollout"], row["name"], row["message"], row["since_ms"], row["until_ms"])
