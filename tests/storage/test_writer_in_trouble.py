"""The ingest writer in trouble: nothing half-written, one bad report harms nobody else, and everything recovers."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import Connection, text

from controller.domain.errors import Invalid, TooFast, Unavailable
from controller.storage.batches import Batch
from controller.storage.database import Database
from tests.storage import builders
from tests.storage.builders import a_batch, a_full_batch, add_rollout, count
from tests.storage.gates import (
    PATIENCE_S,
    Gate,
    MakeWriter,
    assert_nothing_is_written,
    at_commit,
    delivered,
    on_every_connection,
    submitted_together,
    wait_until,
)


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
