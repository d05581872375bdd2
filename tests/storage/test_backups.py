"""A copy put back into an empty database is whole: the trail verifies, everything replays, clients take it."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from controller.storage import backups, snapshots
from controller.storage.backups import CannotCopy
from controller.storage.database import Database
from controller.storage.tables import audit, outcomes, tokens, windows
from controller.usecases.replay import replay
from controller.usecases.views.history import ledger_view
from tests.builders import T0, a_lease, a_live_rollout, judged, read, report
from tests.postgres import PostgresServer
from tests.storage.builders import a_full_batch, count, write

Opened = Callable[[str], Database]


@pytest.fixture(autouse=True)
def _programs(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{postgres.programs}:/usr/bin:/bin")


@pytest.fixture
def elsewhere(database: Database, opened: Opened, tmp_path: Path, postgres: PostgresServer) -> Iterator[Database]:
    """Another database of the same kind, empty."""
    if database.embedded:
        yield opened(f"sqlite:///{tmp_path / 'elsewhere.db'}")
        return
    postgres.execute("CREATE DATABASE elsewhere")
    found = opened(postgres.url("elsewhere"))
    yield found
    found.close()
    postgres.execute("DROP DATABASE elsewhere WITH (FORCE)")


def some_history(database: Database) -> None:
    rollout = a_live_rollout(database)
    write(database, a_full_batch(1))
    report(database, rollout, failed=50)
    judged(database, a_lease(database), T0 + 10_000)


def everything(database: Database) -> list[list[tuple[object, ...]]]:
    with database.read() as connection:
        found = [connection.execute(select(table)).all() for table in (audit, outcomes, windows, tokens)]
    return [sorted((tuple(row) for row in rows), key=repr) for rows in found]


def test_a_copy_put_back_is_whole_and_replays(database: Database, elsewhere: Database, tmp_path: Path) -> None:
    some_history(database)
    backups.back_up(database, tmp_path / "copy")
    backups.restore(elsewhere, tmp_path / "copy", T0)
    assert everything(elsewhere) == everything(database)
    with elsewhere.read() as connection:
        found = ledger_view(connection, read(elsewhere), 0, 100)
    assert found.slots
    assert not [one for one in replay(found.rounds, found.slots) if one.differs]


def test_clients_that_know_revisions_from_after_the_copy_take_the_restored_one(
    database: Database, elsewhere: Database, tmp_path: Path
) -> None:
    some_history(database)
    backups.back_up(database, tmp_path / "copy")
    with database.write() as connection:
        later = snapshots.publish(connection, T0 + 1)
    assert backups.restore(elsewhere, tmp_path / "copy", T0) > later


def test_a_copy_is_for_its_owner_alone_and_never_written_over(database: Database, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    backups.back_up(database, copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with pytest.raises(CannotCopy, match="exists already"):
        backups.back_up(database, copy)
    assert [one.name for one in tmp_path.iterdir() if "unfinished" in one.name] == []


def test_a_database_that_is_in_use_is_never_restored_into(database: Database, tmp_path: Path) -> None:
    backups.back_up(database, tmp_path / "copy")
    with pytest.raises(CannotCopy, match="not empty"):
        backups.restore(database, tmp_path / "copy", T0)


def test_a_file_that_is_no_copy_is_refused(elsewhere: Database, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear all")
    with pytest.raises(CannotCopy):
        backups.restore(elsewhere, tmp_path / "letter", T0)
    with pytest.raises(CannotCopy, match="not there"):
        backups.restore(elsewhere, tmp_path / "nothing", T0)


def test_a_copy_without_raw_outcomes_keeps_all_that_judging_needs(
    postgresql_database: Database, opened: Opened, postgres: PostgresServer, tmp_path: Path
) -> None:
    some_history(postgresql_database)
    backups.back_up(postgresql_database, tmp_path / "copy", raw=False)
    postgres.execute("CREATE DATABASE without_raw")
    smaller = opened(postgres.url("without_raw"))
    backups.restore(smaller, tmp_path / "copy", T0)
    assert (count(smaller, "outcomes"), count(smaller, "windows")) == (0, count(postgresql_database, "windows"))
    smaller.close()
    postgres.execute("DROP DATABASE without_raw WITH (FORCE)")


def test_without_the_programs_the_error_says_what_to_install(
    postgresql_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotCopy, match="install PostgreSQL's client programs"):
        backups.back_up(postgresql_database, tmp_path / "copy")
