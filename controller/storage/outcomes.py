"""Raw outcomes: the detail behind the windows, for people. By far the most rows, so they are written in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import psycopg
from psycopg.copy import LibpqWriter
from sqlalchemy import ColumnElement, Connection, MetaData, func, select, union
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
_ROW = [outcomes.c[name] for name in _FIELDS]
_NUMBERS = {"at_ms", "epoch", "latency_ms"}
_COPY = f"COPY outcomes ({', '.join(_FIELDS)}) FROM STDIN (FORMAT BINARY)"
_INSERT = f"INSERT INTO outcomes ({', '.join(_FIELDS)}) VALUES "  # noqa: S608 - constants
_VALUES = f"({', '.join('?' * len(_FIELDS))})"
#: Rows of one INSERT on SQLite. Each statement gives the interpreter's lock away once; with one statement a row, a busy
#: process would hand it over for every row.
_AT_ONCE = 250
#: Bytes that are sent at once to PostgreSQL, for the same reason.
_CHUNK = 512 * 1024
_TYPES = ["int8" if name in _NUMBERS else "varchar" for name in _FIELDS]


class _InChunks(LibpqWriter):
    """Sends what has gathered only when it is much."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        super().__init__(cursor)
        self._gathered: list[bytes] = []
        self._size = 0

    def write(self, data: psycopg.abc.Buffer) -> None:
        self._gathered.append(bytes(data))
        self._size += len(data)
        if self._size >= _CHUNK:
            self._send()

    def finish(self, exc: BaseException | None = None) -> None:
        if exc is None:
            self._send()
        super().finish(exc)

    def _send(self) -> None:
        if self._gathered:
            super().write(b"".join(self._gathered))
            self._gathered.clear()
            self._size = 0


def append(connection: Connection, rows: Sequence[Outcome]) -> None:
    """Write rows in the caller's transaction: binary COPY on PostgreSQL, inserts of many rows on SQLite."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, rows)
    else:
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            values = tuple(chain.from_iterable(some))
            connection.exec_driver_sql(_INSERT + ", ".join([_VALUES] * len(some)), values)


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


def newest_failures(connection: Connection, flag_key: str, variant: str, since_ms: int, limit: int) -> list[Outcome]:
    """The last failures of a variant since a time, the newest first, as far as raw outcomes are kept."""
    statement = select(*_ROW).where(*_of(flag_key, since_ms), outcomes.c.variant == variant)
    failed = statement.where(outcomes.c.outcome == OutcomeClass.FAILED.value)
    return [Outcome(*row) for row in connection.execute(failed.order_by(outcomes.c.at_ms.desc()).limit(limit))]


def _of(flag_key: str, since_ms: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return outcomes.c.flag_key == flag_key, outcomes.c.at_ms >= since_ms


def _copy(connection: Connection, rows: Sequence[Outcome]) -> None:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError("outcomes are copied through psycopg")
    try:
        with driver.cursor() as cursor, cursor.copy(_COPY, writer=_InChunks(cursor)) as copy:
            copy.set_types(_TYPES)
            for row in rows:
                copy.write_row(row)
    except psycopg.OperationalError as error:
        raise OperationalError(_COPY, None, error) from error
    except psycopg.DataError as error:
        raise DataError(_COPY, None, error) from error
    except psycopg.Error as error:
        raise DBAPIError(_COPY, None, error) from error
