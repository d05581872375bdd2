"""A leader's sign of life that ends with its process: an advisory lock of a session of its own on PostgreSQL.

The lease row alone says for ten seconds that a process evaluates which was killed a moment ago. Its session ends at
once, so whoever looks sees that the lock is gone. A frozen process keeps both, and its lease runs out.
"""

from __future__ import annotations

import contextlib
from typing import LiteralString

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, text

from controller.storage.database import KEEPALIVES, conninfo_of

#: "cana": the lock's class among the advisory locks of a database.
_CLASS, _LEADER = 0x63616E61, 1
_CONNECT_S = 3
_TAKE: LiteralString = "SELECT pg_try_advisory_lock(%s, %s)"
_HELD = text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = :of AND objid = :which "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
)


def shown(connection: Connection) -> bool | None:
    """Whether any process shows the sign at present; None on an embedded database, which has none."""
    if connection.dialect.name != "postgresql":
        return None
    return bool(connection.execute(_HELD, {"of": _CLASS, "which": _LEADER}).scalar_one())


class Presence:
    """Shows and withdraws this process's sign."""

    def __init__(self, url: URL) -> None:
        self._conninfo = make_conninfo(conninfo_of(url), connect_timeout=_CONNECT_S, **KEEPALIVES)
        self._connection: psycopg.Connection | None = None

    def show(self) -> bool:
        """Show it, over a new connection; False while another process still does, or the database cannot be reached."""
        self.withdraw()
        try:
            self._connection = psycopg.connect(self._conninfo, autocommit=True, application_name="canary-leader")
            row = self._connection.execute(_TAKE, (_CLASS, _LEADER)).fetchone()
        except psycopg.Error:
            row = None
        if row == (True,):
            return True
        self.withdraw()
        return False

    def withdraw(self) -> None:
        """Show it no longer."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()
