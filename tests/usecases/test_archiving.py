"""The audit trail's archive: whole, checked, written once, and found out where it does not fit the chain."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update

from controller.storage import archive
from controller.storage.archive import ArchiveFault
from controller.storage.database import Database
from controller.storage.tables import audit
from controller.usecases import archiving, flags
from controller.usecases.archiving import WAIT_MS, archive_trail
from controller.usecases.checkup import State, check_archive
from controller.usecases.flags import FlagChange
from tests.builders import FLAG, T0, a_flag
from tests.usecases.test_audit import some_changes, unlocked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "archive"
    found.mkdir()
    return found


def one_more(database: Database, version: int, at_ms: int = T0 + WAIT_MS) -> None:
    flags.change(database, FLAG, version, FlagChange(description=f"at {version}"), actor="ann", now_ms=at_ms)


def state(database: Database, folder: Path, now_ms: int = T0 + WAIT_MS) -> tuple[State, str]:
    found = check_archive(database, folder, now_ms)
    return found.state, found.found


def test_entries_wait_an_hour_for_others_and_then_go_into_one_segment(database: Database, folder: Path) -> None:
    some_changes(database, 5)
    assert archive_trail(database, folder, T0 + WAIT_MS - 1) == 0
    assert archive_trail(database, folder, T0 + WAIT_MS) == 5
    [path] = folder.iterdir()
    assert path.name.startswith("audit-0000000001-0000000005-")
    assert (path.read_bytes().count(b"\n"), path.stat().st_mode & 0o777) == (5, 0o400)
    assert archive_trail(database, folder, T0 + 9 * WAIT_MS) == 0


def test_many_entries_do_not_wait_and_no_segment_is_long(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "MOST", 2)
    some_changes(database, 5)
    assert archive_trail(database, folder, T0) == 4
    assert archive_trail(database, folder, T0, all_of_it=True) == 1
    assert [name[6:27] for name in archive.segments(folder)] == [
        "0000000001-0000000002",
        "0000000003-0000000004",
        "0000000005-0000000005",
    ]


def test_archiving_takes_nothing_out_of_the_database(database: Database, folder: Path) -> None:
    some_changes(database, 5)
    archive_trail(database, folder, T0, all_of_it=True)
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(audit)).scalar_one() == 5


def test_the_next_segment_goes_on_where_the_last_one_ended_whoever_writes_it(database: Database, folder: Path) -> None:
    some_changes(database, 3)
    archive_trail(database, folder, T0, all_of_it=True)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    one_more(database, 3)
    archive_trail(database, folder, T0, all_of_it=True)
    assert before.items() < {path.name: path.read_bytes() for path in folder.iterdir()}.items()
    assert archive.head(folder).seq == 4


def test_what_a_crash_left_half_written_is_not_taken_for_a_segment(database: Database, folder: Path) -> None:
    some_changes(database, 3)
    (folder / ".audit-0000000001-0000000002-half.jsonl.7").write_text("{")
    assert archive_trail(database, folder, T0, all_of_it=True) == 3
    assert archive.head(folder).seq == 3


def test_a_chain_that_was_changed_is_not_archived(database: Database, folder: Path) -> None:
    some_changes(database, 3)
    with database.write() as connection:
        unlocked(connection)
        connection.execute(update(audit).where(audit.c.seq == 2).values(actor="bob"))
    with pytest.raises(ArchiveFault, match="entry 2 was changed"):
        archive_trail(database, folder, T0, all_of_it=True)
    assert archive.segments(folder) == []


def test_a_chain_that_was_written_anew_behind_the_archive_is_found_out(database: Database, folder: Path) -> None:
    some_changes(database, 3)
    archive_trail(database, folder, T0, all_of_it=True)
    with database.write() as connection:
        unlocked(connection)
        connection.execute(update(audit).where(audit.c.seq == 3).values(digest="0" * 64))
    with pytest.raises(ArchiveFault, match="entry 3 of the archive is not the database's"):
        archive_trail(database, folder, T0, all_of_it=True)
    assert state(database, folder)[0] is State.FAIL


def test_a_database_from_an_older_copy_is_not_archived_into_the_same_folder(database: Database, folder: Path) -> None:
    some_changes(database, 3)
    archive_trail(database, folder, T0, all_of_it=True)
    with database.write() as connection:
        unlocked(connection)
        connection.execute(text("DELETE FROM audit WHERE seq > 1"))
    with pytest.raises(ArchiveFault, match="name a new folder"):
        archive_trail(database, folder, T0, all_of_it=True)


def test_a_segment_that_is_missing_is_found_out(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "MOST", 1)
    some_changes(database, 3)
    archive_trail(database, folder, T0, all_of_it=True)
    (folder / archive.segments(folder)[1]).unlink()
    with pytest.raises(ArchiveFault, match="lacks what comes before audit-0000000003"):
        archive_trail(database, folder, T0, all_of_it=True)


def test_a_folder_that_is_gone_is_told_and_nothing_else_stops(database: Database, folder: Path) -> None:
    a_flag(database)
    folder.rmdir()
    with pytest.raises(ArchiveFault, match="cannot be read"):
        archive_trail(database, folder, T0, all_of_it=True)
    assert state(database, folder)[0] is State.FAIL


def test_the_check_up_tells_whether_the_archive_is_fresh(database: Database, folder: Path) -> None:
    some_changes(database, 3)
    assert state(database, folder, T0 + 2 * WAIT_MS)[0] is State.OK
    told, words = state(database, folder, T0 + 4 * WAIT_MS)
    assert (told, "has waited for 4 h" in words) == (State.WARN, True)
    archive_trail(database, folder, T0 + 4 * WAIT_MS)
    assert state(database, folder, T0 + 9 * WAIT_MS) == (State.OK, f"3 entries of the audit trail in {folder}")
