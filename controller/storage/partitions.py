"""Raw outcomes on PostgreSQL, partitioned by day: partitions made ahead of time, and dropped when their day is old.

Nothing here waits for long while others wait behind it: each step is a transaction of its own with a short lock
time-out, and is tried again at the next round. On SQLite, and on a schema without partitions, nothing is done.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, text

from controller.domain.retention import DAY_MS

#: The table of rows from before the partitions, and the counter that holds when it was set aside.
BEFORE, BEFORE_SINCE = "outcomes_before", "outcomes_before_ms"
#: Where a row goes whose day has no partition.
REST = "outcomes_rest"
#: Partitions are there for so many days beyond today.
DAYS_AHEAD = 7

_NAME = re.compile(r"outcomes_d(\d{8})")
_WAIT = "SET LOCAL lock_timeout = '1s'"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Partition(NamedTuple):
    """One day of raw outcomes: its table, and the first moment of the day."""

    name: str
    first_ms: int


def partitioned(connection: Connection) -> bool:
    """Whether raw outcomes are partitioned here."""
    if connection.dialect.name != "postgresql":
        return False
    kind = text("SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass('outcomes')")
    return bool(connection.execute(kind).scalar_one_or_none())


def days(connection: Connection) -> list[Partition]:
    """The partitions there are, the oldest first."""
    children = text(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = to_regclass('outcomes') ORDER BY c.relname"
    )
    names = connection.execute(children).scalars()
    return [Partition(name, _first_ms(match[1])) for name in names if (match := _NAME.fullmatch(name))]


def missing(connection: Connection, now_ms: int) -> list[int]:
    """The days from yesterday to a week from now that have no partition, by their first moment."""
    there = {one.first_ms for one in days(connection)}
    today_ms = now_ms // DAY_MS * DAY_MS
    wanted = range(today_ms - DAY_MS, today_ms + (DAYS_AHEAD + 1) * DAY_MS, DAY_MS)
    return [first_ms for first_ms in wanted if first_ms not in there]


def make(connection: Connection, first_ms: int) -> int:
    """Make a day's partition, in a transaction of its own; returns how many rows of that day were waiting in the rest.

    Attaching a finished table, unlike creating it in its place, does not keep anybody from reading or writing.
    """
    name, last_ms = name_of(first_ms), first_ms + DAY_MS
    connection.execute(text(_WAIT))
    connection.execute(text(f"CREATE TABLE IF NOT EXISTS {name} (LIKE outcomes INCLUDING ALL)"))
    # While it is attached nobody may put a row of this day into the rest; after that nobody can.
    connection.execute(text(f"LOCK TABLE {REST} IN ACCESS EXCLUSIVE MODE"))
    moved = text(
        f"WITH gone AS (DELETE FROM {REST} WHERE at_ms >= {first_ms:d} AND at_ms < {last_ms:d} RETURNING *) "  # noqa: S608 - our own names and whole numbers
        f"INSERT INTO {name} SELECT * FROM gone"
    )
    count = connection.execute(moved).rowcount
    connection.execute(text(f"ALTER TABLE {name} ADD CONSTRAINT of_the_day CHECK ({_within(first_ms)})"))
    bounds = f"FROM ({first_ms:d}) TO ({last_ms:d})"
    connection.execute(text(f"ALTER TABLE outcomes ATTACH PARTITION {name} FOR VALUES {bounds}"))
    connection.execute(text(f"ALTER TABLE {name} DROP CONSTRAINT of_the_day"))
    return count


def drop(connection: Connection, partition: Partition) -> None:
    """Drop a day, in a transaction of its own: its rows are gone at once, and so is the space they took."""
    connection.execute(text(_WAIT))
    connection.execute(text(f"DROP TABLE {name_of(partition.first_ms)}"))


def has_before(connection: Connection) -> bool:
    """Whether rows from before the partitions are still there."""
    if connection.dialect.name != "postgresql":
        return False
    return bool(connection.execute(text(f"SELECT to_regclass('{BEFORE}') IS NOT NULL")).scalar_one())


def drop_before(connection: Connection) -> None:
    """Drop the rows from before the partitions, in a transaction of its own."""
    connection.execute(text(_WAIT))
    connection.execute(text(f"DROP TABLE IF EXISTS {BEFORE}"))
    connection.execute(text("DELETE FROM counters WHERE name = :name"), {"name": BEFORE_SINCE})


def before_since(connection: Connection) -> int | None:
    """When the rows from before the partitions were set aside; none of them is younger."""
    said = text("SELECT value FROM counters WHERE name = :name")
    return connection.execute(said, {"name": BEFORE_SINCE}).scalar_one_or_none()


def tables(connection: Connection) -> list[str]:
    """Every table that holds raw outcomes itself: one on SQLite, one a day (and the rest) on PostgreSQL."""
    if not partitioned(connection):
        return ["outcomes"]
    held = [one.name for one in days(connection)]
    return [*([BEFORE] if has_before(connection) else []), *held, REST]


def name_of(first_ms: int) -> str:
    """The table of the day that begins at this moment."""
    return f"outcomes_d{_EPOCH + timedelta(milliseconds=first_ms):%Y%m%d}"


def _first_ms(day: str) -> int:
    moment = datetime(int(day[:4]), int(day[4:6]), int(day[6:]), tzinfo=UTC)
    return int((moment - _EPOCH).total_seconds()) * 1000


def _within(first_ms: int) -> str:
    return f"at_ms IS NOT NULL AND at_ms >= {first_ms:d} AND at_ms < {first_ms + DAY_MS:d}"
