"""What this process knows of the newest snapshot, and how old that knowledge is."""

import threading
from contextlib import contextmanager
from typing import Any

import pytest

from controller.domain.errors import Unavailable
from controller.storage import snapshots
from controller.storage.database import Database
from controller.usecases import flags
from controller.usecases.flags import FlagChange
from controller.web.state import FlagState
from tests.builders import FLAG, T0, a_flag


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Cut:
    """A database whose line can be cut; counts how often it is read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.cut = False
        self.reads = 0

    @contextmanager
    def read(self) -> Any:
        self.reads += 1
        if self.cut:
            raise Unavailable("cut")
        with self._database.read() as connection:
            yield connection


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def line(database: Database) -> Cut:
    return Cut(database)


@pytest.fixture
def state(line: Cut, seconds: Seconds) -> FlagState:
    return FlagState(line, seconds)  # type: ignore[arg-type]


def kill(database: Database) -> None:
    flags.change(database, FLAG, 1, FlagChange(enabled=False), actor="ann", now_ms=T0)


def test_the_database_is_asked_once_a_second_however_many_ask(
    database: Database, state: FlagState, line: Cut, seconds: Seconds
) -> None:
    a_flag(database)
    for _ in range(100):
        state.fresh()
    assert line.reads == 1
    seconds.now += 1
    state.fresh()
    assert line.reads == 2


def test_whoever_is_told_of_a_change_gets_it_at_once(database: Database, state: FlagState) -> None:
    a_flag(database)
    assert state.fresh().snapshot.flags[FLAG].enabled
    kill(database)
    assert state.fresh().snapshot.flags[FLAG].enabled
    state.changed()
    assert not state.fresh().snapshot.flags[FLAG].enabled


def test_many_who_wait_cause_one_reading(database: Database, state: FlagState, line: Cut) -> None:
    a_flag(database)
    together = threading.Barrier(20)

    def ask() -> None:
        together.wait()
        state.fresh()

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert line.reads == 1


def test_whoever_asks_while_a_change_is_being_read_waits_for_it(
    database: Database, state: FlagState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a client is told after its own change was answered must have that change in it."""
    a_flag(database)
    state.fresh()
    reading, go_on = threading.Event(), threading.Event()
    latest = snapshots.latest

    def slowly(connection: Any) -> Any:
        reading.set()
        assert go_on.wait(20)
        return latest(connection)

    kill(database)
    state.changed()
    monkeypatch.setattr(snapshots, "latest", slowly)
    first = threading.Thread(target=state.fresh)
    first.start()
    assert reading.wait(20)
    answers: list[bool] = []
    second = threading.Thread(target=lambda: answers.append(state.fresh().snapshot.flags[FLAG].enabled))
    second.start()
    go_on.set()
    first.join()
    second.join()
    assert answers == [False]


def test_without_a_database_nothing_is_vouched_for_and_the_last_state_is_told_with_its_age(
    database: Database, state: FlagState, line: Cut, seconds: Seconds
) -> None:
    a_flag(database)
    known = state.fresh()
    line.cut = True
    seconds.now += 4
    assert state.vouched
    seconds.now += 2
    assert not state.vouched
    with pytest.raises(Unavailable):
        state.fresh()
    assert state.held() == (known, 6.0)
    line.cut = False
    assert state.held() == (known, 0.0)
    assert state.vouched


def test_while_one_waits_for_a_silent_database_the_others_are_told_the_last_state(
    database: Database, state: FlagState, line: Cut, seconds: Seconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_flag(database)
    known = state.fresh()
    line.cut = True
    seconds.now += 2
    assert state.held() == (known, 2.0)
    asked, given_up, reads = threading.Event(), threading.Event(), []

    @contextmanager
    def silent() -> Any:
        reads.append(1)
        asked.set()
        given_up.wait(20)
        raise Unavailable("no answer")
        yield

    monkeypatch.setattr(line, "read", silent)
    one = threading.Thread(target=state.held)
    one.start()
    assert asked.wait(20)
    seconds.now += 2
    assert state.held() == (known, 4.0)
    assert len(reads) == 1  # nobody has waited for the first one, to ask after it
    given_up.set()
    one.join()


def test_a_change_that_could_not_be_read_is_read_later(database: Database, state: FlagState, line: Cut) -> None:
    a_flag(database)
    state.fresh()
    kill(database)
    state.changed()
    line.cut = True
    with pytest.raises(Unavailable):
        state.fresh()
    line.cut = False
    assert not state.fresh().snapshot.flags[FLAG].enabled


def test_before_anything_is_published_there_is_nothing_to_know(state: FlagState) -> None:
    with pytest.raises(Unavailable, match="has been published"):
        state.fresh()
    with pytest.raises(Unavailable):
        state.held()
