"""A PostgreSQL server that is restarted, paused, cut off or full costs everybody some seconds, and nobody more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import text

from controller.domain.errors import Unavailable
from controller.storage import database as room
from controller.storage import patience
from controller.storage.database import Database
from controller.storage.patience import Breaker
from tests.postgres import PostgresServer
from tests.storage.builders import a_full_batch
from tests.storage.gates import PATIENCE_S, MakeWriter, wait_until

Opened = Callable[[str], Database]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same patience, in less time."""
    monkeypatch.setattr(patience, "DOUBT_S", 0.5)
    monkeypatch.setattr(patience, "_LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(room, "_CONNECT_S", 2)  # the least that the driver takes


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server for one test, to be spoilt."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def database(own_server: PostgresServer, opened: Opened) -> Database:
    """Its database, with a table to write to."""
    found = opened(own_server.url("postgres"))
    with found.write() as connection:
        connection.execute(text("CREATE TABLE notes (note text)"))
    return found


def notes(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM notes")).scalar_one())


def note(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("INSERT INTO notes VALUES ('x')"))


def answers(database: Database) -> bool:
    try:
        return notes(database) >= 0
    except Unavailable:
        return False


def test_a_paused_server_is_given_up_within_seconds_and_found_again(
    own_server: PostgresServer, database: Database
) -> None:
    note(database)
    with ThreadPoolExecutor(12) as pool:
        own_server.pause()
        waiting = [pool.submit(notes, database) for _ in range(12)]
        errors = [one.exception(PATIENCE_S) for one in waiting]
        assert {type(error) for error in errors} == {Unavailable}
        # From now on callers are told at once; what tries is one of them at a time.
        with pytest.raises(Unavailable):
            notes(database)
        own_server.resume()
        wait_until(lambda: answers(database))
    assert notes(database) == 1


def test_a_server_that_is_restarted_is_found_again(own_server: PostgresServer, database: Database) -> None:
    note(database)
    own_server.restart()
    wait_until(lambda: answers(database))
    note(database)
    assert notes(database) == 2


def test_connections_that_are_cut_are_replaced(own_server: PostgresServer, database: Database) -> None:
    with database.read(), database.read(), database.read():
        pass
    own_server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'canary'")
    wait_until(lambda: answers(database))
    assert all(answers(database) for _ in range(20))


def test_a_long_statement_of_a_server_that_answers_others_is_let_alone(database: Database) -> None:
    with database.read() as connection:
        assert connection.execute(text("SELECT pg_sleep(1.5), 7")).one()[1] == 7


def test_a_transaction_beyond_its_time_is_given_up(database: Database) -> None:
    with pytest.raises(Unavailable), database.read(within_s=0.2) as connection:
        connection.execute(text("SELECT pg_sleep(10)"))
    assert answers(database)


def test_a_replica_frozen_in_mid_transaction_does_not_hold_its_locks_for_ever(
    database: Database, own_server: PostgresServer, opened: Opened
) -> None:
    other = opened(own_server.url("postgres"))

    def freeze() -> None:
        with database.write() as frozen:
            frozen.execute(text("SET LOCAL idle_in_transaction_session_timeout = '300ms'"))
            frozen.execute(text("LOCK TABLE notes"))
            note(other)  # waits for the lock, which nobody gives back in time
            frozen.execute(text("SELECT 1"))

    with pytest.raises(Unavailable):
        freeze()
    assert notes(other) == 1


def test_a_server_that_became_a_standby_is_unavailable_to_writers(
    database: Database, own_server: PostgresServer
) -> None:
    own_server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    own_server.execute("SELECT pg_reload_conf()")
    own_server.restart()
    wait_until(lambda: answers(database))
    with pytest.raises(Unavailable, match="standby"):
        note(database)


def test_a_full_disk_refuses_reports_and_is_over_when_there_is_room(
    postgresql_database: Database, postgresql_url: str, make_writer: MakeWriter
) -> None:
    # What the server says when a file cannot grow; tests/flow/outage.py fills a real disk.
    full = "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'"
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        admin.execute(f"CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {full}; END $$")
        admin.execute("CREATE TRIGGER no_space BEFORE INSERT ON windows EXECUTE FUNCTION no_space()")
        writer = make_writer(postgresql_database)
        with pytest.raises(Unavailable, match="No space left"):
            writer.submit(a_full_batch(1))
        admin.execute("DROP TRIGGER no_space ON windows")
        assert not writer.submit(a_full_batch(1)).duplicate


def test_while_it_does_not_answer_one_tries_and_the_others_are_told() -> None:
    now = [100.0]
    breaker, trying = Breaker(lambda: now[0]), threading.Event()
    breaker.trip()
    with pytest.raises(Unavailable), breaker.passing():
        raise AssertionError("it is too early")
    now[0] += 10
    with breaker.passing():
        trying.set()
        with pytest.raises(Unavailable), breaker.passing():
            raise AssertionError("somebody tries already")
    with breaker.passing(), breaker.passing():
        pass


def test_a_failed_try_is_followed_by_another_one() -> None:
    now = [100.0]
    breaker = Breaker(lambda: now[0])
    breaker.trip()
    for _ in range(3):
        now[0] += 10
        with pytest.raises(ValueError, match="still down"), breaker.passing():
            raise ValueError("still down")
    now[0] += 10
    with breaker.passing():
        pass
