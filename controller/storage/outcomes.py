"""Raw outcomes: the detail behind the windows, for people. By far the most rows, so they are written in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import psycopg
from sqlalchemy import Connection, MetaData, func, select, union
from sqlalchemy.exc import DataError, DBAPIError, OperationalError

from controller.domain.outcomes import OutcomeClass
from controller.storage import partitions
from controller.storage.tables import outcomes


class Outcome(NamedTuple):
    """One attempt and what became of it; user and run are hashes."""

    flag_key: str
    variant: str
    event_type: str
    outcome: str
    at_ms: int
    instance: str
    epoch: int = 0
    event_id: str = ""
    latency_ms: int | None = None
    status: str = ""
    reason: str = ""
    user_hash: str = ""
    run_hash: str = ""


_FIELDS = Outcome._fields
_NUMBERS = {"at_ms", "epoch", "latency_ms"}
_COPY = f"COPY outcomes ({', '.join(_FIELDS)}) FROM STDIN (FORMAT BINARY)"
_INSERT = f"INSERT INTO outcomes ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"  # noqa: S608 - constants
_TYPES = ["int8" if name in _NUMBERS else "varchar" for name in _FIELDS]


def append(connection: Connection, rows: Sequence[Outcome]) -> None:
    """Write rows in the caller's transaction: binary COPY on PostgreSQL, executemany on SQLite."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, rows)
    else:
        connection.exec_driver_sql(_INSERT, list(rows))


def failed_users(connection: Connection, flag_key: str, variant: str, from_ms: int, to_ms: int) -> int:
    """How many users had an event of a variant fail, as far as raw outcomes are kept."""
    held = [outcomes, outcomes.to_metadata(MetaData(), name=partitions.BEFORE)]
    found = [
        select(rows.c.user_hash).where(
            rows.c.flag_key == flag_key,
            rows.c.at_ms >= from_ms,
            rows.c.at_ms < to_ms,
            rows.c.variant == variant,
            rows.c.outcome == OutcomeClass.FAILED.value,
            rows.c.user_hash != "",
        )
        for rows in held[: 1 + partitions.has_before(connection)]
    ]
    users = union(*found).subquery()  # each user once
    return int(connection.execute(select(func.count()).select_from(users)).scalar_one())


def _copy(connection: Connection, rows: Sequence[Outcome]) -> None:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError("outcomes are copied through psycopg")
    try:
        with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for row in rows:
                copy.write_row(row)
    except psycopg.OperationalError as error:
        raise OperationalError(_COPY, None, error) from error
    except psycopg.DataError as error:
        raise DataError(_COPY, None, error) from error
    except psycopg.Error as error:
        raise DBAPIError(_COPY, None, error) from error
