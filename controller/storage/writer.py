"""The one ingest writer of a process: merges waiting reports into one transaction and answers after its commit."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy.exc import DataError

from controller.clock import Clock
from controller.domain.errors import Invalid, TooFast, Unavailable
from controller.storage import groups
from controller.storage.batches import Batch
from controller.storage.database import Database
from controller.wire.reports import Receipt

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WriterStats:
    """What the writer has done since its start.

    Attributes:
        reports: written; duplicates: acknowledged without being counted again.
        rows: rows of the written reports, about; commits: transactions that held them.
        turned_away: refused because too many waited; failed: not written, and said so to the sender.
        strays: evidence rows of rollouts that take none (over, or never heard of), which were dropped.
        waiting: reports that wait now; last_commit_ms: when a transaction last succeeded.
    """

    reports: int = 0
    duplicates: int = 0
    rows: int = 0
    commits: int = 0
    turned_away: int = 0
    failed: int = 0
    strays: int = 0
    waiting: int = 0
    last_commit_ms: int | None = None


class _Waiting:
    """A report, the thread that waits for it, and its answer."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.done = threading.Event()
        self.receipt: Receipt | None = None
        self.error: Exception | None = None

    def succeed(self, receipt: Receipt) -> None:
        self.receipt = receipt
        self.done.set()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.done.set()


class IngestWriter:
    """Group commit: while one transaction is being written, the next reports gather.

    Args:
        on_commit: called by the writer's thread after a commit with the rollouts whose canary has new failures.
        most_waiting, most_rows_waiting: beyond either, reports are turned away.
        most_rows_per_commit: a transaction takes no further report beyond this many rows.
        patience_s: how long a report waits for its commit.
    """

    def __init__(  # noqa: PLR0913 - bounds, each with a default
        self,
        database: Database,
        clock: Clock,
        *,
        on_commit: Callable[[set[str]], None] = lambda _: None,
        most_waiting: int = 256,
        most_rows_waiting: int = 50_000,
        most_rows_per_commit: int = 10_000,
        patience_s: float = 30.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._on_commit = on_commit
        self._most_waiting = most_waiting
        self._most_rows_waiting = most_rows_waiting
        self._most_rows_per_commit = most_rows_per_commit
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._rows_waiting = 0
        self._stats = WriterStats()
        self._stopping = True
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write; does nothing when begun already."""
        with self._changed:
            if self._thread is not None:
                return
            self._stopping = False
            self._thread = threading.Thread(target=self._run, name="ingest-writer", daemon=True)
            self._thread.start()

    def stop(self, *, drain: bool = True) -> None:
        """Take no more reports; write those that wait, or (without `drain`) refuse them; then end the thread."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._stopping = True
            left = [] if drain else self._take(most_rows=None)
            self._changed.notify_all()
        for waiting in left:
            waiting.fail(Unavailable("this server is stopping; send the report again"))
        if thread is not None:
            thread.join(self._patience_s)

    def submit(self, batch: Batch) -> Receipt:
        """Write a report; returns once it is committed, by this call or by an earlier one with the same batch id.

        Raises:
            TooFast: too many reports wait already. Unavailable: the database cannot be written, or this server stops;
            nothing of the report was written, or it will be known as a repeat. Invalid: the database refuses a value.
        """
        waiting = _Waiting(batch)
        with self._changed:
            self._admit(waiting)
            self._changed.notify_all()
        if not waiting.done.wait(self._patience_s):
            raise Unavailable(f"not committed within {self._patience_s:g} s; send the report again, it counts once")
        if waiting.error is not None:
            raise waiting.error
        if waiting.receipt is None:
            raise AssertionError("an answer is a receipt or an error")
        return waiting.receipt

    @property
    def running(self) -> bool:
        """Whether reports are taken and written."""
        thread = self._thread
        return thread is not None and thread.is_alive() and not self._stopping

    def stats(self) -> WriterStats:
        """The figures so far."""
        with self._changed:
            return replace(self._stats, waiting=len(self._waiting))

    def _admit(self, waiting: _Waiting) -> None:
        if self._stopping:
            raise Unavailable("this server takes no reports now; send the report again")
        crowded = self._rows_waiting + waiting.batch.rows > self._most_rows_waiting
        if len(self._waiting) >= self._most_waiting or (self._waiting and crowded):
            self._count(turned_away=1)
            raise TooFast(f"{len(self._waiting)} reports wait already; send the report again in a few seconds")
        self._waiting.append(waiting)
        self._rows_waiting += waiting.batch.rows

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting) or self._stopping)
                group = self._take(self._most_rows_per_commit)
            if not group:
                return
            self._settle(group)

    def _take(self, most_rows: int | None) -> list[_Waiting]:
        """The next reports, at least one if any waits, within the bound."""
        group: list[_Waiting] = []
        rows = 0
        while self._waiting and (not group or most_rows is None or rows + self._waiting[0].batch.rows <= most_rows):
            group.append(self._waiting.popleft())
            rows += group[-1].batch.rows
        self._rows_waiting -= rows
        return group

    def _settle(self, group: list[_Waiting]) -> None:
        """Write a group and answer; when a report spoils it, each is tried alone, so that only that one fails."""
        try:
            self._commit(group)
        except Unavailable as error:
            self._fail(group, error)
        except Exception as error:  # noqa: BLE001 - one bad report may raise anything, and the writer must go on
            if len(group) == 1:
                self._fail(group, _refusal_of(error))
            else:
                for waiting in group:
                    self._settle([waiting])

    def _commit(self, group: list[_Waiting]) -> None:
        with self._database.write() as connection:
            written = groups.write(connection, [waiting.batch for waiting in group])
        rows = sum(batch.rows for batch in written.fresh)
        with self._changed:
            fresh = len(written.fresh)
            self._count(reports=fresh, duplicates=len(group) - fresh, rows=rows, commits=1, strays=written.strays)
            self._stats = replace(self._stats, last_commit_ms=self._clock())
        first = {batch.id for batch in written.fresh}
        for waiting in group:
            key = waiting.batch.id
            waiting.succeed(Receipt(key, key not in first, written.revision))
            first.discard(key)
        if written.failing:
            self._tell(written.failing)

    def _tell(self, failing: set[str]) -> None:
        try:
            self._on_commit(failing)
        except Exception:  # noqa: BLE001 - logged with its traceback; the reports are committed
            _log.exception("the listener for failed canary evidence raised an error; evidence is safe")

    def _fail(self, group: list[_Waiting], error: Exception) -> None:
        with self._changed:
            self._count(failed=len(group))
        for waiting in group:
            waiting.fail(error)

    def _count(self, **more: int) -> None:
        self._stats = replace(self._stats, **{name: getattr(self._stats, name) + n for name, n in more.items()})


def _refusal_of(error: Exception) -> Exception:
    """What the sender is told: a value that the database will never take is the sender's to mend."""
    if isinstance(error, DataError):
        return Invalid(f"the database refuses a value of this report: {str(error.orig).strip()}")
    if isinstance(error, OverflowError | UnicodeError):
        return Invalid(f"the database cannot hold a value of this report: {error}")
    return error
