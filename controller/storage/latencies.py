"""The times to delivery of the newest outcomes: read from the end of the raw outcomes, where the newest lie.

No index has them in the order of their time (it would cost every insert a third more), and a page that sorted ten
minutes of a busy flag would keep three processes of PostgreSQL at it for half a second.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from controller.domain.outcomes import OutcomeClass
from controller.domain.retention import DAY_MS
from controller.storage import partitions

#: So much of a table's end is read: 16 MB on PostgreSQL, about 70,000 rows; as many on SQLite.
_PAGES, _ROWS = 2_048, 70_000


def newest(
    connection: Connection, flag_key: str, since_ms: int, now_ms: int, limit: int
) -> dict[tuple[str, str], list[int]]:
    """Times to delivery since a time, the newest first, by (variant, event type), in milliseconds.

    Where other flags have so many more events that this one's lie further back, there are fewer.
    """
    found: dict[tuple[str, str], list[int]] = {}
    left = limit
    for name in _tables(connection, since_ms, now_ms):
        asked = {"flag": flag_key, "since": since_ms, "delivered": OutcomeClass.DELIVERED.value, "left": left}
        statement = text(
            "SELECT variant, event_type, latency_ms FROM "  # noqa: S608 - our own names and whole numbers
            f"{name} WHERE {_end_of(connection, name)} AND flag_key = :flag AND at_ms >= :since "
            "AND outcome = :delivered AND latency_ms IS NOT NULL ORDER BY at_ms DESC LIMIT :left"
        )
        for variant, event_type, latency_ms in connection.execute(statement, asked):
            found.setdefault((variant, event_type), []).append(latency_ms)
            left -= 1
        if not left:
            break
    return found


def _tables(connection: Connection, since_ms: int, now_ms: int) -> list[str]:
    """Those that may hold rows of this time, the newest first."""
    if not partitions.partitioned(connection):
        return ["outcomes"]
    days = [one.name for one in partitions.days(connection) if since_ms - DAY_MS < one.first_ms <= now_ms]
    return [*reversed(days), partitions.REST]


def _end_of(connection: Connection, name: str) -> str:
    if connection.dialect.name != "postgresql":
        last = connection.execute(text(f"SELECT coalesce(max(rowid), 0) FROM {name}")).scalar_one()  # noqa: S608
        return f"rowid > {int(last) - _ROWS:d}"
    size = text(f"SELECT pg_relation_size('{name}') / current_setting('block_size')::int")
    return f"ctid >= '({max(0, int(connection.execute(size).scalar_one()) - _PAGES):d},0)'"
