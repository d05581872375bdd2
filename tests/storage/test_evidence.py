"""Evidence that waits for the judge: whose it is, who failed in it, and that nothing of it is lost or doubled."""

from typing import Any

import pytest

from controller.domain.closing import Arrived
from controller.domain.tallies import Tally
from controller.storage import evidence
from controller.storage.database import Database
from tests.storage import builders
from tests.storage.builders import NOW_MS, a_batch, add_rollout, closing, count, drained, units_open, write


def taken(database: Database, *keys: str) -> dict[str, list[Arrived]]:
    with database.write() as connection:
        found = evidence.drain(connection, keys or ["r"])
    return {key: sorted(rows) for key, rows in found.items()}


def test_evidence_of_a_group_is_merged_into_one_row_per_key_and_instance(database: Database) -> None:
    add_rollout(database)
    write(database, *(a_batch(f"b{at}", seq=at, evidence=builders.evidence(failed=1000)) for at in range(5)))
    assert count(database, "evidence_inbox") == 1
    write(database, a_batch("other", evidence=builders.evidence(epoch=2)))
    write(database, a_batch("elsewhere", "two", evidence=builders.evidence()))
    assert drained(database) == {
        ("one", 1, "canary", "a"): Tally(5000, 5000),
        ("one", 2, "canary", "a"): Tally(0, 1000),
        ("two", 1, "canary", "a"): Tally(0, 1000),
    }
    assert drained(database) == {}


@pytest.mark.parametrize(
    ("phase", "taken"),
    [
        ("draft", 0),
        ("measuring", 1),
        ("progressing", 1),
        ("paused", 1),
        ("rolling_back", 1),
        ("promoted", 0),
        ("rolled_back", 0),
    ],
)
def test_evidence_is_taken_only_while_a_rollout_is_under_way(database: Database, phase: str, taken: int) -> None:
    add_rollout(database, phase=phase)
    written = write(
        database, a_batch("1", evidence=builders.evidence(failed=1000), open_units={("r", "canary", "a"): 1})
    )
    assert count(database, "evidence_inbox") == count(database, "open_units") == taken
    assert written.strays == 1 - taken
    assert written.failing == ({"r"} if taken else set())


def test_evidence_of_a_rollout_that_nobody_knows_is_dropped_and_counted(database: Database) -> None:
    written = write(database, a_batch("1", evidence=builders.evidence(rollout="unheard-of")))
    assert written.strays == 1
    assert count(database, "evidence_inbox") == 0


def test_only_failures_of_the_canary_are_bad_news(database: Database) -> None:
    for key in ("r", "s", "t"):
        add_rollout(database, key)
    control = builders.evidence(failed=1000, rollout="s", arm="control")
    healthy = builders.evidence(rollout="t")
    written = write(database, a_batch("1", evidence=builders.evidence(failed=1) | control | healthy))
    assert written.failing == {"r"}
    with database.read() as connection:
        assert evidence.pending_failures(connection) == {"r"}
    drained(database)
    with database.read() as connection:
        assert evidence.pending_failures(connection) == set()


def test_open_units_count_for_instances_that_are_there(database: Database) -> None:
    add_rollout(database)
    gauge = {("r", "canary", "a"): 2, ("r", "control", "a"): 50}
    canary, control = ("canary", "a"), ("control", "a")
    write(database, a_batch("1", "here", open_units=gauge), a_batch("2", "here-too", open_units=gauge))
    write(database, a_batch("3", "silent", at_ms=NOW_MS - 200_000, open_units=gauge))
    assert units_open(database, NOW_MS - 125_000) == {canary: 4, control: 100}
    write(database, closing(a_batch("4", "here", seq=2)))
    assert units_open(database, NOW_MS - 125_000) == {canary: 2, control: 50}


def test_evidence_is_taken_of_the_rollouts_that_are_asked_for_and_of_no_other(database: Database) -> None:
    for key in ("r", "s", "t"):
        add_rollout(database, key)
        write(database, a_batch(f"of-{key}", evidence=builders.evidence(rollout=key)))
    found = taken(database, "r", "s", "never-heard-of")
    assert {key: [(row.instance, row.total) for row in rows] for key, rows in found.items()} == {
        "r": [("one", 1000)],
        "s": [("one", 1000)],
    }
    assert count(database, "evidence_inbox") == 1
    assert taken(database, "r", "s") == {}


def test_users_who_failed_come_with_their_evidence_three_of_them_at_most(database: Database) -> None:
    add_rollout(database)

    def failing(number: int, *users: str) -> Any:
        return a_batch(f"batch-{number}", seq=number, evidence=builders.evidence(failed=1000, users=users))

    write(database, failing(1, "0000000a"), failing(2, "0000000a", "0000000b"), failing(3, "0000000c", "0000000d"))
    write(database, failing(4, "0000000e"))
    rows = taken(database)["r"]
    assert [(row.failed, row.users) for row in rows] == [
        (1000, ("0000000e",)),
        (3000, ("0000000a", "0000000b", "0000000c")),
    ]


def test_evidence_that_is_given_back_is_what_was_taken(database: Database) -> None:
    add_rollout(database)
    write(database, a_batch(evidence=builders.evidence(failed=500, users=("0000000a", "0000000b"), epoch=7)))
    write(database, a_batch("2", "two", seq=2, evidence=builders.evidence(arm="control", stream="later")))
    first = taken(database)["r"]
    with database.write() as connection:
        evidence.give_back(connection, "r", first)
        evidence.give_back(connection, "s", [])
    assert taken(database) == {"r": first}


def test_a_transaction_that_is_rolled_back_has_taken_nothing(database: Database) -> None:
    add_rollout(database)
    write(database, a_batch(evidence=builders.evidence()))

    def break_off() -> None:
        with database.write() as connection:
            assert evidence.drain(connection, ["r"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert drained(database) == {("one", 1, "canary", "a"): Tally(0, 1000)}


def test_open_units_are_told_by_rollout(database: Database) -> None:
    add_rollout(database, "r")
    add_rollout(database, "s")
    write(database, a_batch(open_units={("r", "canary", "a"): 2, ("s", "control", "active"): 8}))
    with database.read() as connection:
        assert evidence.open_units(connection, ["r", "s"], 0) == {
            "r": {("canary", "a"): 2},
            "s": {("control", "active"): 8},
        }
        assert evidence.open_units(connection, ["s"], 0) == {"s": {("control", "active"): 8}}
        assert evidence.open_units(connection, [], 0) == {}
