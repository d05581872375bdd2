"""The database behind everything: one engine, read and write transactions, and errors that callers can act on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from controller.domain.errors import Unavailable
from controller.storage import audit

_BUSY_MS = 10_000


class Database:
    """SQLite (embedded) or PostgreSQL, by URL.

    Writers of an embedded database queue on a lock of this process, which is fair and needs no polling; other
    processes are kept apart by BEGIN IMMEDIATE and the busy time-out.

    Raises (from both kinds of transaction):
        Unavailable: the database cannot be reached, is full, or is locked for too long.
    """

    def __init__(self, url: str, pool_size: int = 8) -> None:
        self.url = make_url(url)
        self.embedded = self.url.get_backend_name() == "sqlite"
        self._writer = threading.Lock()
        self.engine = _embedded_engine(url) if self.embedded else _server_engine(url, pool_size)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with _refusing(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes; committed at the end of the block, rolled back on any error."""
        if not self.embedded:
            with _refusing(), self.engine.begin() as connection, _audited(connection):
                yield connection
            return
        with self._writer, _refusing(), self.engine.connect() as connection:
            connection = connection.execution_options(writes=True)  # noqa: PLW2901 - the same connection, marked
            with connection.begin(), _audited(connection):
                yield connection

    def within(self, connection: Connection) -> Database:
        """This database as seen inside an open transaction: reads and writes there, commits nothing by itself.

        What is done in a block of `write` is undone alone where it raises; all of it is committed with the transaction.
        """
        return _Within(self, connection)

    def close(self) -> None:
        """Give back all connections."""
        self.engine.dispose()


class _Within(Database):
    def __init__(self, outer: Database, connection: Connection) -> None:
        self.url, self.embedded, self.engine = outer.url, outer.embedded, outer.engine
        self._connection = connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        yield self._connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._connection.begin_nested():
            yield self._connection

    def close(self) -> None:
        """Whoever opened it closes it."""


@contextmanager
def _audited(connection: Connection) -> Iterator[None]:
    """What was written into the audit trail joins the chain as the last thing before the commit."""
    audit.begin(connection)
    yield
    audit.seal(connection)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise Unavailable(f"the database answered: {str(error.orig).strip()}") from error
    except PoolTimeoutError as error:
        raise Unavailable("all connections to the database are in use") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable(f"the connection was lost: {str(error.orig).strip()}") from error
        raise


def _embedded_engine(url: str) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=8,
        max_overflow=24,
        connect_args={"timeout": _BUSY_MS / 1000, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _settle(dbapi: Any, _record: object) -> None:
        dbapi.isolation_level = None  # transactions are begun below, in the form that each needs
        cursor = dbapi.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_MS}", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _server_engine(url: str, pool_size: int) -> Engine:
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        pool_timeout=5,
        connect_args={"connect_timeout": 5, "options": "-c statement_timeout=15000 -c lock_timeout=10000"},
    )
