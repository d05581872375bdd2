"""Whoever leads keeps the audit trail's archive."""

from pathlib import Path

from controller.scheduler.keeping import Keeper
from controller.scheduler.leadership import Leadership
from controller.storage import archive
from controller.storage.database import Database
from controller.usecases.archiving import WAIT_MS
from tests.builders import T0
from tests.clocks import FakeClock
from tests.usecases.test_audit import some_changes


def test_the_trail_is_archived_by_the_leader_alone(sqlite_database: Database, tmp_path: Path) -> None:
    clock = FakeClock(T0 + WAIT_MS)
    some_changes(sqlite_database, 3)
    leader, other = (Leadership(sqlite_database, clock, name) for name in ("one", "two"))
    assert leader.renew() is not None
    Keeper(sqlite_database, clock, other, tmp_path).sweep()
    assert archive.segments(tmp_path) == []
    Keeper(sqlite_database, clock, leader, tmp_path).sweep()
    assert archive.head(tmp_path).seq == 3


def test_an_archive_that_cannot_be_written_does_not_stop_the_sweep(sqlite_database: Database, tmp_path: Path) -> None:
    clock = FakeClock(T0 + WAIT_MS)
    some_changes(sqlite_database, 3)
    leader = Leadership(sqlite_database, clock, "one")
    leader.renew()
    Keeper(sqlite_database, clock, leader, tmp_path / "none").sweep()
