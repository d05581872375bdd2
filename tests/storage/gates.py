"""Transactions held at their commit, spoilt connections, and conditions that are waited for."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from sqlalchemy import Connection, event

from controller.storage.batches import Batch
from controller.storage.database import Database
from controller.storage.writer import IngestWriter
from controller.wire.reports import Receipt
from tests.storage.builders import a_batch, count, counted

PATIENCE_S = 30
MakeWriter = Callable[..., IngestWriter]


class Gate:
    """Holds transactions at their commit until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, _: Connection) -> None:
        self.reached.set()
        assert self.open.wait(PATIENCE_S)


@contextmanager
def at_commit(database: Database, act: Callable[[Connection], None]) -> Iterator[None]:
    """Do something at the last moment before each commit."""
    event.listen(database.engine, "commit", act)
    try:
        yield
    finally:
        event.remove(database.engine, "commit", act)


@contextmanager
def on_every_connection(database: Database, pragma: str) -> Iterator[None]:
    """Set a pragma of SQLite on each connection that is handed out."""

    def settle(dbapi: object, *_: object) -> None:
        dbapi.execute(f"PRAGMA {pragma}")

    event.listen(database.engine, "checkout", settle)
    try:
        yield
    finally:
        event.remove(database.engine, "checkout", settle)
        database.engine.dispose()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, up to a deadline."""
    tick = threading.Event()
    for _ in range(PATIENCE_S * 200):
        if condition():
            return
        tick.wait(0.005)
    raise AssertionError("it did not happen in time")


def submitted_together(
    writer: IngestWriter, database: Database, pool: ThreadPoolExecutor, *reports: Batch
) -> list[Future[Receipt]]:
    """Submit reports so that the writer finds them waiting in one group, in this order."""
    gate = Gate()
    with at_commit(database, gate):
        first = pool.submit(writer.submit, a_batch("first-of-all", "somebody-else"))
        assert gate.reached.wait(PATIENCE_S)
        futures = []
        for at, report in enumerate(reports, start=1):
            futures.append(pool.submit(writer.submit, report))
            wait_until(lambda expected=at: writer.stats().waiting == expected)
        gate.open.set()
        first.result(PATIENCE_S)
        for future in futures:
            future.exception(PATIENCE_S)
    return futures


def delivered(database: Database) -> int:
    return counted(database).delivered


def assert_nothing_is_written(database: Database) -> None:
    gathered = ("windows", "outcomes", "evidence_inbox", "sampled_users", "user_counts")
    for table in ("batches", "instances", "instance_arms", "open_units", *gathered):
        assert count(database, table) == 0, table
