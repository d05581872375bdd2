"""Application versions in quarantine: there until a person lifts them."""

from controller.storage import quarantines
from controller.storage.database import Database
from controller.storage.quarantines import Quarantine

OLD = Quarantine("f", "1.2.3", "r", 1, 1_000, "agent_started: 5 of 5 failed")


def add(database: Database, *found: Quarantine) -> None:
    with database.write() as connection:
        quarantines.add(connection, found)


def lift(database: Database, *versions: str, flag: str = "f") -> list[str]:
    with database.write() as connection:
        return quarantines.lift(connection, flag, versions)


def every(database: Database, flag: str | None = None) -> list[Quarantine]:
    with database.read() as connection:
        return quarantines.every(connection, flag)


def test_a_version_that_failed_again_keeps_its_first_failure(database: Database) -> None:
    add(database, OLD)
    add(database, OLD._replace(round=2, since_ms=9_000, message="again"), OLD._replace(app_version="1.2.4"))
    assert every(database) == [OLD, OLD._replace(app_version="1.2.4")]


def test_versions_are_held_for_their_flag_alone(database: Database) -> None:
    add(database, OLD, OLD._replace(app_version="1.2.4"), OLD._replace(flag_key="g"))
    assert [one.app_version for one in every(database, "g")] == ["1.2.3"]
    with database.read() as connection:
        assert quarantines.versions(connection) == {"f": ("1.2.3", "1.2.4"), "g": ("1.2.3",)}


def test_lifting_ends_what_is_named_and_says_what_there_was(database: Database) -> None:
    add(database, OLD, OLD._replace(app_version="1.2.4"), OLD._replace(flag_key="g"))
    assert lift(database, "1.2.4", "9.9.9") == ["1.2.4"]
    assert lift(database) == []
    assert every(database) == [OLD, OLD._replace(flag_key="g")]
