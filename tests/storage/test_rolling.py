"""Releases are rolled out one process at a time: the one before on the newest schema, this one on the one before."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary, MetaData, Table, insert, inspect, select, text
from sqlalchemy.types import JSON, TypeEngine

from controller.domain.errors import SchemaBefore
from controller.domain.retention import DEFAULT_MS, Kind
from controller.storage import outcomes, partitions, retention, schema, snapshots
from controller.storage.database import Database
from controller.usecases import retention as commands
from controller.usecases.views.history import ledger_view
from tests.builders import ROLLOUT, T0, a_lease, a_live_rollout, judged, read, report
from tests.postgres import PostgresServer
from tests.storage.builders import FLAG, a_full_batch, an_outcome, write

Opened = Callable[[str], Database]
#: What the release before this one was made for.
PREVIOUS = "0004"


@pytest.fixture
def earlier(empty_url: str, opened: Opened) -> Database:
    """A database that the release before has made."""
    database = opened(empty_url)
    schema.upgrade(database, PREVIOUS)
    return database


@pytest.fixture
def earlier_postgresql(postgres: PostgresServer, opened: Opened) -> Iterator[Database]:
    """The same, on PostgreSQL alone."""
    postgres.execute("CREATE DATABASE earlier")
    database = opened(postgres.url("earlier"))
    schema.upgrade(database, PREVIOUS)
    yield database
    database.close()
    postgres.execute("DROP DATABASE earlier WITH (FORCE)")


def tables_of(database: Database) -> dict[str, Table]:
    """The tables as they are, the way a release knows them that was made for this schema."""
    found = MetaData()
    with database.read() as connection:
        found.reflect(connection)
    return {name: table for name, table in found.tables.items() if name != "alembic_version"}


def a_value(kind: TypeEngine[Any]) -> Any:
    by_kind = {Boolean: True, Integer: 7, BigInteger: 7, LargeBinary: b"x", JSON: {"x": 1}}
    return next((value for known, value in by_kind.items() if isinstance(kind, known)), "x")


def test_whatever_the_release_before_names_can_still_be_written_and_read(earlier: Database) -> None:
    known = tables_of(earlier)
    schema.upgrade(earlier)
    for name, table in known.items():
        # Numbers that the database gives out were never named by any release.
        columns = [column for column in table.columns if column.name != "id" or name == "instances"]
        row = {column.name: a_value(column.type) for column in columns}
        with earlier.write() as connection:
            connection.execute(insert(table).inline().values(**row))
            written = connection.execute(select(*columns).order_by(*columns[:1])).mappings().all()
        assert row in [dict(one) for one in written], name


def test_the_release_before_goes_on_copying_raw_outcomes(earlier_postgresql: Database) -> None:
    schema.upgrade(earlier_postgresql)
    with earlier_postgresql.write() as connection:
        outcomes.append(connection, [an_outcome()])  # names no column that it did not name then
        assert connection.execute(text("SELECT count(*) FROM outcomes")).scalar_one() == 1


def test_this_release_ingests_judges_and_sweeps_on_the_schema_before(earlier: Database) -> None:
    with earlier.write() as connection:
        snapshots.publish(connection, T0)
    rollout = a_live_rollout(earlier)
    assert len(write(earlier, a_full_batch(1)).fresh) == 1
    report(earlier, rollout, delivered=50)
    judged(earlier, a_lease(earlier), T0 + 10_000)
    with earlier.read() as connection:
        assert ledger_view(connection, read(earlier), 0, 10).slots
        assert retention.policies(connection).keep_ms(FLAG, Kind.RAW) == DEFAULT_MS[Kind.RAW]
        assert outcomes.failed_users(connection, FLAG, "unified", 0, 2**53) == 0
    swept = commands.sweep(earlier, T0 + 10_000)
    assert (swept.troubles, swept.complete) == ({}, True)
    with pytest.raises(SchemaBefore, match="canary db upgrade"):
        commands.change(earlier, "*", 0, keep={}, detail="all", actor="ann", now_ms=T0)
    assert read(earlier, ROLLOUT).phase.live


def test_rows_from_before_the_partitions_are_read_beside_them_and_dropped_when_they_are_old(
    earlier_postgresql: Database,
) -> None:
    database = earlier_postgresql
    old, new = (an_outcome(outcome="failed", user_hash=name, at_ms=T0) for name in ("before", "after"))
    with database.write() as connection:
        outcomes.append(connection, [old])
    schema.upgrade(database)
    with database.write() as connection:
        outcomes.append(connection, [new, old])
        assert outcomes.failed_users(connection, FLAG, "unified", 0, 2**53) == 2
        since_ms = partitions.before_since(connection)
    assert since_ms is not None
    commands.sweep(database, since_ms + DEFAULT_MS[Kind.RAW] - 1)
    with database.read() as connection:
        assert partitions.has_before(connection)
    commands.sweep(database, since_ms + DEFAULT_MS[Kind.RAW] + 1)
    with database.read() as connection:
        assert not partitions.has_before(connection)
        assert partitions.before_since(connection) is None


def test_an_upgrade_reads_no_row_of_the_table_that_it_sets_aside(earlier_postgresql: Database) -> None:
    with earlier_postgresql.write() as connection:
        outcomes.append(connection, [an_outcome() for _ in range(10)])
        oid = connection.execute(text("SELECT 'outcomes'::regclass::oid")).scalar_one()
        node = connection.execute(text("SELECT relfilenode FROM pg_class WHERE oid = :oid"), {"oid": oid}).scalar_one()
    schema.upgrade(earlier_postgresql)
    with earlier_postgresql.read() as connection:
        same = text("SELECT relname, relfilenode FROM pg_class WHERE oid = :oid")
        assert tuple(connection.execute(same, {"oid": oid}).one()) == (partitions.BEFORE, node)


def test_an_upgrade_that_meets_a_busy_table_gives_up_instead_of_stopping_everybody(
    earlier_postgresql: Database, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_WAIT_FOR_TABLE", "200ms")
    with psycopg.connect(postgres.url("earlier")) as busy:
        busy.execute("SELECT count(*) FROM outcomes")
        with pytest.raises(Exception, match="lock timeout"):
            schema.upgrade(earlier_postgresql)
    assert schema.current_revision(earlier_postgresql) == PREVIOUS
    schema.upgrade(earlier_postgresql)
    assert schema.current_revision(earlier_postgresql) == schema.head_revision()


@pytest.mark.parametrize("rows_before", [0, 3])
def test_going_back_gathers_all_rows_in_one_table_again(earlier_postgresql: Database, rows_before: int) -> None:
    database = earlier_postgresql
    with database.write() as connection:
        outcomes.append(connection, [an_outcome(event_id=f"before-{n}") for n in range(rows_before)])
    schema.upgrade(database)
    with database.write() as connection:
        outcomes.append(connection, [an_outcome(event_id="after")])
    schema.downgrade(database, PREVIOUS)
    with database.read() as connection:
        found = connection.execute(text("SELECT event_id FROM outcomes ORDER BY event_id")).scalars().all()
        assert found == ["after", *(f"before-{n}" for n in range(rows_before))]
        assert not [name for name in inspect(connection).get_table_names() if name.startswith("outcomes_")]
    schema.upgrade(database)
