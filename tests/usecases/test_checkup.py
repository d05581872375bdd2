"""The check-up tells what is well from what is broken, and says what mends it."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from controller.storage import checkup, schema
from controller.storage.checkup import Server
from controller.storage.database import Database
from controller.usecases.checkup import State, check_database, check_schema
from controller.usecases.retention import sweep
from tests.builders import ROLLOUT, T0, a_lease, a_live_rollout


def found(database: Database, now_ms: int = T0) -> dict[str, tuple[State, str, str]]:
    return {one.name: (one.state, one.found, one.fix) for one in check_database(database, lambda: now_ms)}


def test_an_unknown_newer_schema_is_well_and_an_older_known_one_is_told(database: Database) -> None:
    assert check_schema(database).state is State.OK
    schema.downgrade(database, schema.MINIMUM)
    told = check_schema(database)
    assert (told.state, "canary db upgrade" in told.fix) == (State.WARN, True)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert check_schema(database).state is State.OK


def test_a_schema_that_is_too_old_ends_the_check_up(database: Database) -> None:
    schema.downgrade(database, "0002")
    told = found(database)
    assert told["schema"][0] is State.FAIL
    assert "lease" not in told


def test_a_database_that_cannot_be_reached_is_told_without_its_password(opened) -> None:
    told = found(opened("postgresql://ann:hidden-word@127.0.0.1:1/none"))
    assert told["database"][0] is State.FAIL
    assert "hidden-word" not in str(told)


def test_without_a_leader_it_is_broken_only_where_something_is_live(database: Database) -> None:
    assert found(database)["lease"][0] is State.WARN
    a_live_rollout(database)
    assert found(database)["lease"][0] is State.FAIL
    a_lease(database)
    assert found(database)["lease"][0] is State.OK


def test_a_rollout_that_nobody_evaluates_is_named(database: Database) -> None:
    a_live_rollout(database)
    assert "evaluation" not in found(database, T0 + 20_000)
    state, words, _ = found(database, T0 + 60_000)["evaluation"]
    assert (state, ROLLOUT in words) == (State.FAIL, True)


@pytest.mark.parametrize(("ahead_ms", "state"), [(0, State.OK), (5_000, State.WARN), (-60_000, State.FAIL)])
def test_a_clock_that_is_off_is_told(postgresql_database: Database, ahead_ms: int, state: State) -> None:
    with postgresql_database.read() as connection:
        now_ms = checkup.clock_ms(connection, 0)
    assert found(postgresql_database, now_ms + ahead_ms)["clock"][0] is state


def test_days_that_are_missing_are_told_until_they_are_made(postgresql_database: Database) -> None:
    assert found(postgresql_database)["partitions"][0] is State.WARN
    sweep(postgresql_database, T0)
    assert found(postgresql_database)["partitions"][0] is State.OK


@pytest.mark.parametrize(
    ("version", "state"), [(140_005, State.FAIL), (150_000, State.OK), (180_001, State.OK), (190_000, State.WARN)]
)
def test_servers_of_other_versions_are_told(
    database: Database, monkeypatch: pytest.MonkeyPatch, version: int, state: State
) -> None:
    monkeypatch.setattr(checkup, "server", lambda _: Server(version, 100, 85))
    told = found(database)
    assert (told["server"][0], told["connections"][0]) == (state, State.WARN)
