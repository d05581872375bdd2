"""Raw outcomes: the detail behind the windows, for people. By far the most rows, so they are written in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import psycopg
from sqlalchemy import Connection, delete, select
from sqlalchemy.exc import DataError, DBAPIError, OperationalError

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


def recent(connection: Connection, flag_key: str, *, outcome: str | None = None, limit: int = 100) -> list[Outcome]:
    """The newest outcomes of a flag, or those of one class."""
    statement = select(*(outcomes.c[name] for name in _FIELDS)).where(outcomes.c.flag_key == flag_key)
    if outcome is not None:
        statement = statement.where(outcomes.c.outcome == outcome)
    newest = statement.order_by(outcomes.c.at_ms.desc(), outcomes.c.id.desc()).limit(limit)
    return [Outcome(*row) for row in connection.execute(newest)]


def forget(connection: Connection, flag_key: str, before_ms: int, most: int = 10_000) -> int:
    """Delete at most `most` outcomes of a flag that are older than a time; returns how many."""
    old = select(outcomes.c.id).where(outcomes.c.flag_key == flag_key, outcomes.c.at_ms < before_ms).limit(most)
    return connection.execute(delete(outcomes).where(outcomes.c.id.in_(old))).rowcount


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
