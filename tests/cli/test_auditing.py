"""`canary audit verify` of an archive's folder, without a controller."""

from pathlib import Path

import pytest

from controller.storage import archive
from controller.storage.database import Database
from controller.usecases import archiving
from tests.builders import T0
from tests.cli.conftest import Run
from tests.usecases.test_audit import some_changes


@pytest.fixture
def folder(sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive of five entries in three segments."""
    monkeypatch.setattr(archiving, "MOST", 2)
    found = tmp_path / "archive"
    found.mkdir()
    some_changes(sqlite_database, 5)
    archiving.archive_trail(sqlite_database, found, T0, all_of_it=True)
    return found


def test_the_segments_of_a_folder_are_one_chain(run: Run, folder: Path) -> None:
    done = run("audit", "verify", "--file", str(folder))
    assert done.exit_code == 0, done.output
    assert f"5 entries as they were written; head {archive.head(folder)}" in done.stdout


def test_a_segment_that_was_changed_or_taken_away_is_named(run: Run, folder: Path) -> None:
    second = folder / archive.segments(folder)[1]
    text = second.read_text()
    second.chmod(0o600)
    second.write_text(text.replace('"actor":"ann"', '"actor":"bob"', 1))
    done = run("audit", "verify", "--file", str(folder))
    assert (done.exit_code, "entry 3 was changed" in done.stderr) == (1, True)
    second.unlink()
    done = run("audit", "verify", "--file", str(folder))
    assert (done.exit_code, "entry 3 to 4 is missing" in done.stderr) == (1, True)


def test_a_folder_that_is_not_there_is_a_bad_setting(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_AUDIT_ARCHIVE", "/no/such/folder")
    done = run("doctor")
    assert (done.exit_code, "CANARY_AUDIT_ARCHIVE: there is no folder" in done.stdout) == (1, True)


def test_an_archive_that_is_fresh_is_told_and_one_of_another_database_is_broken(
    run: Run, folder: Path, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CANARY_AUDIT_ARCHIVE", str(folder))
    mine = sqlite_database.url.render_as_string()
    assert "5 entries of the audit trail" in " ".join(run("doctor", "--database-url", mine).stdout.split())
    other = f"sqlite:///{tmp_path}/other.db"
    run("db", "upgrade", "--database-url", other)
    done = run("doctor", "--database-url", other)
    assert (done.exit_code, "another installation's" in " ".join(done.stdout.split())) == (1, True)
