"""What a database holds of an application's outcomes, counted without the controller's help."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from controller.storage.database import Database
from tests.builders import FLAG

_ASKED = """
SELECT (SELECT sum(attempts) FROM windows WHERE flag_key = :flag) AS windows,
       (SELECT sum(failed) FROM windows WHERE flag_key = :flag) AS failed,
       (SELECT count(*) FROM outcomes WHERE flag_key = :flag) AS raw,
       (SELECT count(DISTINCT event_id) FROM outcomes WHERE flag_key = :flag) AS distinct_raw,
       (SELECT term FROM leases WHERE name = 'leader') AS term
"""


@dataclass(frozen=True)
class Counts:
    """Outcomes in windows (and those of them that failed), raw rows, distinct ones; and the lease's term."""

    windows: int
    failed: int
    raw: int
    distinct: int
    term: int


def counts_of(database_url: str) -> Counts:
    """Of the flag that tests roll out."""
    return Counts(*asked(database_url, _ASKED, flag=FLAG)[0])


def asked(database_url: str, statement: str, **values: object) -> list[tuple[int, ...]]:
    """Rows of whole numbers; nothing counts as 0."""
    database = Database(database_url)
    try:
        with database.read() as connection:
            return [tuple(int(value or 0) for value in row) for row in connection.execute(text(statement), values)]
    finally:
        database.close()
