"""Judges' constants: stored once under their digest, and noticed when they are not what they were."""

import pytest
from sqlalchemy import delete, insert, update

from controller.domain.guards import Guard
from controller.domain.judge.constants import Constants, UnknownConstants
from controller.storage import constants as rows
from controller.storage.database import Database
from controller.storage.tables import constants as table
from tests.domain.builders import frozen
from tests.storage.builders import count

MILD, STRICT = frozen(Guard("delivery", floor_ppm=960_000)), frozen(Guard("delivery", floor_ppm=975_000))


@pytest.fixture(autouse=True)
def _nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_kept", {})


def keep(database: Database, *found: Constants) -> list[str]:
    with database.write() as connection:
        return [rows.keep(connection, one) for one in found]


def get(database: Database, digest: str) -> Constants:
    with database.read() as connection:
        return rows.get(connection, digest)


def test_constants_come_back_as_they_were(database: Database) -> None:
    assert keep(database, MILD, STRICT) == [MILD.digest(), STRICT.digest()]
    assert get(database, MILD.digest()) == MILD
    assert get(database, STRICT.digest()) == STRICT


def test_the_same_constants_are_stored_once(database: Database) -> None:
    keep(database, MILD, MILD)
    keep(database, MILD, STRICT)
    assert count(database, "constants") == 2


def test_constants_that_are_not_there_are_not_made_up(database: Database) -> None:
    with pytest.raises(UnknownConstants, match="not in the database"):
        get(database, MILD.digest())


def test_constants_that_were_changed_are_found(database: Database) -> None:
    keep(database, MILD)
    with database.write() as connection:
        connection.execute(update(table).values(canonical=STRICT.canonical()))
    with pytest.raises(UnknownConstants, match="they were changed"):
        get(database, MILD.digest())


def test_constants_of_a_form_that_this_release_does_not_know_are_not_judged_by(database: Database) -> None:
    later = MILD.canonical().replace(f'"form":{MILD.form}', '"form":99')
    with database.write() as connection:
        connection.execute(insert(table).values(digest="later", canonical=later))
    with pytest.raises(UnknownConstants, match="form 99"):
        get(database, "later")


def test_constants_are_read_once(database: Database) -> None:
    keep(database, MILD)
    assert get(database, MILD.digest()) == MILD
    with database.write() as connection:
        connection.execute(delete(table))
    assert get(database, MILD.digest()) == MILD
