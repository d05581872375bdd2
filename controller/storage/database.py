"""The database behind everything: one engine, read and write transactions, and errors that callers can act on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, InvalidRequestError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from controller.domain.errors import SchemaBefore, Unavailable
from controller.storage import audit
from controller.storage.patience import Breaker, Watch

_BUSY_MS = 10_000
#: Every commit waits for the disk. The log is put into the file every 32 MB, and a connection remembers 16 MB of pages:
#: with the defaults (4 and 2 MB) each group of reports would do the former, and spill the latter.
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    f"busy_timeout={_BUSY_MS}",
    "foreign_keys=ON",
    "wal_autocheckpoint=8000",
    "cache_size=-16000",
)
#: Connections kept open to a server; as many again are made when they are all in use.
POOL_SIZE = 8
#: How long a transaction may take before its connection is given up; migrations and sweeps say so themselves.
PATIENCE_S = 30.0
#: A connection that was in use so shortly ago is believed to work.
_FRESH_S = 1.0
#: A server that does not answer a newcomer in this time does not answer.
_CONNECT_S = 3
#: Notices within seconds that a network has gone away under a connection.
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
#: The last one ends the transaction of a replica that was frozen with locks in its hands.
_TIMEOUTS = {"statement_timeout": "15s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "8s"}
#: A server that became a standby: another one writes, or soon will.
_READ_ONLY = "25006"
#: No such table, no such column: a newer release on the schema of the one before, as in a rolling upgrade.
_NOT_THERE_YET = frozenset({"42P01", "42703"})


class Database:
    """SQLite (embedded) or PostgreSQL, by URL.

    Writers of an embedded database queue on a lock of this process, which is fair and needs no polling; other
    processes are kept apart by BEGIN IMMEDIATE and the busy time-out. A server that stops answering costs nobody more
    than some seconds: see storage/patience.py.

    Raises (from both kinds of transaction):
        Unavailable: the database cannot be reached, does not answer, is full, or is locked for too long.
        SchemaBefore: a PostgreSQL schema of the release before does not have what is asked for.
    """

    def __init__(self, url: str, pool_size: int = POOL_SIZE) -> None:
        self.url = make_url(url)
        self.embedded = self.url.get_backend_name() == "sqlite"
        self._writer = threading.Lock()
        self._breaker: Breaker | None = None
        self._watch: Watch | None = None
        self._within = threading.local()
        if self.embedded:
            self.engine = _embedded_engine(url)
        else:
            self.engine = _server_engine(url, pool_size)
            self._watch_over()

    @contextmanager
    def read(self, within_s: float = PATIENCE_S) -> Iterator[Connection]:
        """A transaction that only reads, for so long at most."""
        with _refusing(), self._connected(within_s) as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, within_s: float = PATIENCE_S) -> Iterator[Connection]:
        """A transaction that writes; committed at the end of the block, rolled back on any error."""
        with self._writer if self.embedded else nullcontext(), _refusing(), self._connected(within_s) as connection:
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
        if self._watch is not None:
            self._watch.close()

    def _connected(self, within_s: float) -> AbstractContextManager[Connection]:
        if self._breaker is None:
            return self.engine.connect()
        self._within.s = within_s
        with self._breaker.passing():
            try:
                return self.engine.connect()
            except OperationalError:
                self._breaker.trip()
                raise
            except InvalidRequestError as error:  # a new connection died at once, and then another one
                self._breaker.trip()
                raise Unavailable("the database drops every connection") from error

    def _watch_over(self) -> None:
        """Have connections of a server looked after while they are in use."""
        conninfo = conninfo_of(self.url)
        self._breaker = breaker = Breaker()
        self._watch = watch = Watch(lambda: _knock(conninfo), breaker.trip)
        dialect = self.engine.dialect

        @event.listens_for(self.engine, "checkout")
        def _begin(dbapi: Any, record: Any, _proxy: object) -> None:
            watch.begin(id(record), dbapi, getattr(self._within, "s", PATIENCE_S))
            if time.monotonic() - record.info.get("used_s", 0.0) < _FRESH_S:
                return
            try:
                dialect.do_ping(dbapi)
            except psycopg.Error:
                watch.end(id(record))
                raise InvalidatePoolError from None  # the others are as old, and as dead: begin with a new one

        @event.listens_for(self.engine, "checkin")
        def _end(dbapi: Any, record: Any) -> None:
            watch.end(id(record))
            if dbapi is not None:
                record.info["used_s"] = time.monotonic()


def conninfo_of(url: URL) -> str:
    """The address of a PostgreSQL database as psycopg takes it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


class _Within(Database):
    def __init__(self, outer: Database, connection: Connection) -> None:
        self.url, self.embedded, self.engine = outer.url, outer.embedded, outer.engine
        self._connection = connection

    @contextmanager
    def read(self, within_s: float = PATIENCE_S) -> Iterator[Connection]:  # noqa: ARG002 - the outer one's time
        yield self._connection

    @contextmanager
    def write(self, within_s: float = PATIENCE_S) -> Iterator[Connection]:  # noqa: ARG002 - the outer one's time
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
        state = getattr(error.orig, "sqlstate", None)
        if state in _NOT_THERE_YET:
            raise SchemaBefore("run `canary db upgrade`: the schema is of a release that did not have this") from error
        if state == _READ_ONLY:
            raise Unavailable("the database only lets itself be read now; is it a standby?") from error
        raise


def _knock(conninfo: str) -> None:
    psycopg.connect(conninfo, connect_timeout=_CONNECT_S, application_name="canary-watch").close()


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
        for pragma in _PRAGMAS:
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
        pool_timeout=5,
        connect_args={
            "connect_timeout": _CONNECT_S,
            "application_name": "canary",
            "options": " ".join(f"-c {name}={value}" for name, value in _TIMEOUTS.items()),
            **KEEPALIVES,
        },
    )
