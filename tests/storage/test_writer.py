"""The ingest writer at work: acknowledged means committed, and a repeat counts once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import text

from controller.domain.errors import Unavailable
from controller.domain.ledger import Users
from controller.storage import evidence, users
from controller.storage.database import Database
from controller.storage.writer import IngestWriter
from controller.wire.reports import Receipt
from tests.clocks import FakeClock
from tests.storage import builders
from tests.storage.builders import NOW_MS, a_batch, a_full_batch, add_rollout, count
from tests.storage.gates import PATIENCE_S, Gate, MakeWriter, at_commit, delivered, submitted_together, wait_until


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
        assert sum(row.total for row in evidence.drain(connection, ["r"])["r"]) == 60_000
    with database.read() as connection:
        assert users.counts(connection, {("r", 1)}) == {"r": Users(canary=20)}
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
