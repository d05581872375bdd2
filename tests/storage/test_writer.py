"""The ingest writer: acknowledged means committed, a repeat counts once, and one bad report harms nobody else."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import Connection, event, text

from controller.domain.errors import Invalid, TooFast, Unavailable
from controller.storage import evidence, windows
from controller.storage.batches import Batch
from controller.storage.database import Database
from controller.storage.writer import IngestWriter
from controller.wire.reports import Receipt
from tests.clocks import FakeClock
from tests.storage import builders
from tests.storage.builders import FLAG, NOW_MS, a_batch, a_full_batch, add_rollout, count

PATIENCE_S = 30
MakeWriter = Callable[..., IngestWriter]


@pytest.fixture
def make_writer(clock: FakeClock) -> Iterator[MakeWriter]:
    """Starts writers, and stops them after the test."""
    started: list[IngestWriter] = []

    def make(database: Database, **options: object) -> IngestWriter:
        writer = IngestWriter(database, clock, **options)
        writer.start()
        started.append(writer)
        return writer

    yield make
    for writer in started:
        writer.stop()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that stand for requests."""
    with ThreadPoolExecutor(32) as threads:
        yield threads


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
    with database.read() as connection:
        return windows.totals(connection, FLAG, "unified", 0).delivered


def assert_nothing_is_written(database: Database) -> None:
    for table in ("batches", "instances", "instance_arms", "windows", "outcomes", "evidence_inbox", "open_units"):
        assert count(database, table) == 0, table


def test_nothing_is_acknowledged_before_its_commit(
    database: Database, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer, gate = make_writer(database), Gate()
    with at_commit(database, gate):
        receipt = pool.submit(writer.submit, a_full_batch(1))
        assert gate.reached.wait(PATIENCE_S)
        assert not receipt.done()
        gate.open.set()
        assert receipt.result(PATIENCE_S) == Receipt("batch-0001", duplicate=False, revision=0)
    assert delivered(database) == 3


def test_a_commit_that_fails_is_no_acknowledgement_and_leaves_nothing(
    database: Database, make_writer: MakeWriter
) -> None:
    def fail(_: Connection) -> None:
        raise RuntimeError("the machine was switched off")

    add_rollout(database)
    writer = make_writer(database)
    with at_commit(database, fail), pytest.raises(RuntimeError, match="switched off"):
        writer.submit(a_full_batch(1))
    assert_nothing_is_written(database)
    assert not writer.submit(a_full_batch(1)).duplicate
    assert delivered(database) == 3
    assert writer.stats().failed == 1


def test_repeats_are_counted_once_however_many_threads_send_them(
    database: Database, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    add_rollout(database)
    writer = make_writer(database)
    reports = [a_full_batch(number, f"instance-{number % 3}") for number in range(20)]
    sent = [pool.submit(writer.submit, report) for _ in range(8) for report in reports]
    receipts = [future.result(PATIENCE_S) for future in sent]
    assert sorted(receipt.batch for receipt in receipts if not receipt.duplicate) == [report.id for report in reports]
    assert delivered(database) == 60
    assert count(database, "outcomes") == 60
    with database.write() as connection:
        assert evidence.drain(connection, "r")[1, "canary", "a"].total == 60_000
    stats = writer.stats()
    assert (stats.reports, stats.duplicates) == (20, 140)


def test_repeats_are_counted_once_by_replicas_that_race(
    database: Database,
    database_url: str,
    opened: Callable[[str], Database],
    make_writer: MakeWriter,
    pool: ThreadPoolExecutor,
) -> None:
    writers = [make_writer(database), make_writer(opened(database_url)), make_writer(opened(database_url))]
    reports = [a_full_batch(number, f"instance-{number % 3}") for number in range(15)]
    sent = []
    for turn in range(6):
        order = reports if turn % 2 else list(reversed(reports))
        sent += [pool.submit(writers[turn % 3].submit, report) for report in order]
    receipts = [future.result(PATIENCE_S) for future in sent]
    assert sum(not receipt.duplicate for receipt in receipts) == 15
    assert delivered(database) == 45


def test_a_second_transaction_waits_to_learn_whether_a_batch_was_committed(
    postgresql_database: Database,
    postgresql_url: str,
    opened: Callable[[str], Database],
    make_writer: MakeWriter,
    pool: ThreadPoolExecutor,
) -> None:
    other, gate = opened(postgresql_url), Gate()
    writer, rival = make_writer(postgresql_database), make_writer(other)
    with at_commit(other, gate):
        first = pool.submit(rival.submit, a_full_batch(1))
        assert gate.reached.wait(PATIENCE_S)
        second = pool.submit(writer.submit, a_full_batch(1))
        wait_until(lambda: _waiters(postgresql_database) == 1)
        assert not second.done()
        gate.open.set()
        assert not first.result(PATIENCE_S).duplicate
        assert second.result(PATIENCE_S).duplicate


def _waiters(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())


def test_reports_that_wait_share_one_transaction(
    database: Database, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer = make_writer(database)
    reports = [a_full_batch(number) for number in range(6)]
    receipts = submitted_together(writer, database, pool, *reports)
    assert [receipt.result().duplicate for receipt in receipts] == [False] * 6
    assert writer.stats().commits == 2  # the first, and the six together


def test_a_transaction_takes_no_more_rows_than_its_bound(
    database: Database, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    report = a_full_batch(1)
    writer = make_writer(database, most_rows_per_commit=2 * report.rows)
    submitted_together(writer, database, pool, *(a_full_batch(number) for number in range(6)))
    assert writer.stats().commits == 4
    assert delivered(database) == 18


@pytest.mark.parametrize(
    "poison",
    [
        a_batch("poison", windows=builders.windows(delivered=2**70)),
        a_batch("poison", outcomes=(builders.an_outcome(latency_ms=2**70),)),
        a_batch("poison", outcomes=(builders.an_outcome(status="\ud800"),)),
    ],
    ids=["count", "latency", "text"],
)
def test_a_poisoned_report_fails_alone(
    database: Database, make_writer: MakeWriter, pool: ThreadPoolExecutor, poison: Batch
) -> None:
    writer = make_writer(database)
    before, bad, after = submitted_together(writer, database, pool, a_full_batch(1), poison, a_full_batch(2))
    assert isinstance(bad.exception(), Invalid)
    assert not before.result().duplicate
    assert not after.result().duplicate
    assert delivered(database) == 6
    assert count(database, "batches") == 3
    assert writer.stats().failed == 1


def test_text_that_postgresql_cannot_hold_is_the_senders_to_mend(
    postgresql_database: Database, make_writer: MakeWriter
) -> None:
    writer = make_writer(postgresql_database)
    for poison in (
        a_batch("in-detail", outcomes=(builders.an_outcome(status="a\0b"),)),
        a_batch("in-counts", windows=builders.windows(event="a\0b", delivered=1)),
    ):
        with pytest.raises(Invalid, match="refuses a value"):
            writer.submit(poison)
    assert_nothing_is_written(postgresql_database)


def test_reports_beyond_the_bound_are_turned_away(
    database: Database, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer, gate = make_writer(database, most_waiting=2), Gate()
    with at_commit(database, gate):
        taken = [pool.submit(writer.submit, a_full_batch(1))]
        assert gate.reached.wait(PATIENCE_S)
        taken += [pool.submit(writer.submit, a_full_batch(number)) for number in (2, 3)]
        wait_until(lambda: writer.stats().waiting == 2)
        with pytest.raises(TooFast, match="2 reports wait already"):
            writer.submit(a_full_batch(4))
        gate.open.set()
        assert [future.result(PATIENCE_S).duplicate for future in taken] == [False] * 3
    assert writer.stats().turned_away == 1
    assert not writer.submit(a_full_batch(4)).duplicate


def test_rows_beyond_the_bound_are_turned_away_but_one_large_report_is_taken(
    database: Database, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer, gate = make_writer(database, most_rows_waiting=5), Gate()
    with at_commit(database, gate):
        taken = [pool.submit(writer.submit, a_full_batch(1))]
        assert gate.reached.wait(PATIENCE_S)
        taken.append(pool.submit(writer.submit, a_full_batch(2, outcomes=100)))
        wait_until(lambda: writer.stats().waiting == 1)
        with pytest.raises(TooFast):
            writer.submit(a_full_batch(3))
        gate.open.set()
        assert [future.result(PATIENCE_S).duplicate for future in taken] == [False] * 2


def test_a_full_disk_refuses_everything_and_is_over_when_there_is_room(
    sqlite_database: Database, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    with sqlite_database.read() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    sqlite_database.engine.dispose()
    writer = make_writer(sqlite_database)
    reports = [a_full_batch(number, outcomes=2000) for number in range(4)]
    with on_every_connection(sqlite_database, f"max_page_count={pages + 20}"):
        for failed in [pool.submit(writer.submit, report) for report in reports]:
            error = failed.exception(PATIENCE_S)
            assert isinstance(error, Unavailable)
            assert "full" in str(error)
    assert_nothing_is_written(sqlite_database)
    assert [writer.submit(report).duplicate for report in reports] == [False] * 4
    assert delivered(sqlite_database) == 8000


def test_a_database_locked_by_another_process_is_unavailable_for_now(
    sqlite_database: Database, sqlite_url: str, opened: Callable[[str], Database], make_writer: MakeWriter
) -> None:
    writer = make_writer(sqlite_database)
    hurried, other = on_every_connection(sqlite_database, "busy_timeout=20"), opened(sqlite_url)
    with hurried, other.write(), pytest.raises(Unavailable, match="locked"):
        writer.submit(a_full_batch(1))
    assert not writer.submit(a_full_batch(1)).duplicate


def test_a_session_that_postgresql_ends_is_unavailable_and_the_next_one_works(
    postgresql_database: Database, postgresql_url: str, make_writer: MakeWriter
) -> None:
    def end(connection: Connection) -> None:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with psycopg.connect(postgresql_url, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    writer = make_writer(postgresql_database)
    with at_commit(postgresql_database, end), pytest.raises(Unavailable):
        writer.submit(a_full_batch(1))
    assert_nothing_is_written(postgresql_database)
    assert not writer.submit(a_full_batch(1)).duplicate


def test_a_database_that_cannot_be_reached_is_unavailable(
    opened: Callable[[str], Database], make_writer: MakeWriter
) -> None:
    writer = make_writer(opened("postgresql://nobody@127.0.0.1:1/nothing"))
    with pytest.raises(Unavailable):
        writer.submit(a_full_batch(1))


def test_a_report_whose_commit_takes_too_long_counts_once_all_the_same(
    database: Database, make_writer: MakeWriter
) -> None:
    writer, gate = make_writer(database, patience_s=0.05), Gate()
    with at_commit(database, gate):
        with pytest.raises(Unavailable, match="it counts once"):
            writer.submit(a_full_batch(1))
        gate.open.set()
        wait_until(lambda: writer.stats().commits == 1)
    patient = make_writer(database)
    assert patient.submit(a_full_batch(1)).duplicate
    assert delivered(database) == 3


def test_bad_news_is_told_after_the_commit(database: Database, make_writer: MakeWriter) -> None:
    add_rollout(database)
    told: list[tuple[set[str], int]] = []
    writer = make_writer(database, on_commit=lambda keys: told.append((keys, count(database, "evidence_inbox"))))
    writer.submit(a_full_batch(1))
    writer.submit(a_batch("bad-news", seq=2, evidence=builders.evidence(failed=1000)))
    writer.stop()
    assert told == [({"r"}, 2)]


def test_a_listener_that_fails_does_not_harm_the_report(
    database: Database, make_writer: MakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: set[str]) -> None:
        raise RuntimeError("nobody home")

    add_rollout(database)
    writer = make_writer(database, on_commit=fail)
    for number in (1, 2):
        report = a_batch(f"bad-news-{number}", seq=number, evidence=builders.evidence(failed=1000))
        assert not writer.submit(report).duplicate
    writer.stop()
    assert "nobody home" in caplog.text


def test_postgresql_carries_bad_news_to_other_processes(
    postgresql_database: Database, postgresql_url: str, make_writer: MakeWriter
) -> None:
    add_rollout(postgresql_database)
    writer = make_writer(postgresql_database)
    with psycopg.connect(postgresql_url, autocommit=True) as listener:
        listener.execute(f"LISTEN {evidence.CHANNEL}")
        writer.submit(a_full_batch(1))
        writer.submit(a_batch("bad-news", seq=2, evidence=builders.evidence(failed=1000)))
        [notice] = listener.notifies(timeout=PATIENCE_S, stop_after=1)
    assert (notice.channel, notice.payload) == ("canary_evidence", "r")


def test_a_clean_stop_writes_what_waits_and_takes_no_more(
    database: Database, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer, gate = make_writer(database), Gate()
    with at_commit(database, gate):
        taken = [pool.submit(writer.submit, a_full_batch(1))]
        assert gate.reached.wait(PATIENCE_S)
        taken.append(pool.submit(writer.submit, a_full_batch(2)))
        wait_until(lambda: writer.stats().waiting == 1)
        stopped = pool.submit(writer.stop)
        wait_until(lambda: not writer.running)
        with pytest.raises(Unavailable):
            writer.submit(a_full_batch(3))
        gate.open.set()
        stopped.result(PATIENCE_S)
    assert [future.result(PATIENCE_S).duplicate for future in taken] == [False, False]
    assert delivered(database) == 6


def test_a_hasty_stop_refuses_what_waits(database: Database, make_writer: MakeWriter, pool: ThreadPoolExecutor) -> None:
    writer, gate = make_writer(database), Gate()
    with at_commit(database, gate):
        taken = pool.submit(writer.submit, a_full_batch(1))
        assert gate.reached.wait(PATIENCE_S)
        waiting = pool.submit(writer.submit, a_full_batch(2))
        wait_until(lambda: writer.stats().waiting == 1)
        stopped = pool.submit(writer.stop, drain=False)
        assert isinstance(waiting.exception(PATIENCE_S), Unavailable)
        gate.open.set()
        stopped.result(PATIENCE_S)
    assert not taken.result(PATIENCE_S).duplicate
    assert delivered(database) == 3


def test_a_writer_that_was_not_started_takes_nothing(database: Database, clock: FakeClock) -> None:
    writer = IngestWriter(database, clock)
    assert not writer.running
    with pytest.raises(Unavailable):
        writer.submit(a_full_batch(1))
    writer.stop()


def test_the_figures_tell_what_was_done(database: Database, make_writer: MakeWriter, clock: FakeClock) -> None:
    clock.now_ms = NOW_MS
    writer = make_writer(database)
    assert writer.stats().last_commit_ms is None
    writer.submit(a_full_batch(1))
    stats = writer.stats()
    assert (stats.reports, stats.rows, stats.commits, stats.strays) == (1, a_full_batch(1).rows, 1, 1)
    assert stats.last_commit_ms == NOW_MS
