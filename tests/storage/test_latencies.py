"""The newest times to delivery, from the end of the raw outcomes."""

from __future__ import annotations

import pytest

from controller.domain.retention import DAY_MS
from controller.storage import latencies, outcomes, partitions
from controller.storage.database import Database
from tests.builders import T0
from tests.storage.builders import FLAG, an_outcome

MIDNIGHT = T0 // DAY_MS * DAY_MS + DAY_MS


def newest(database: Database, since_ms: int = MIDNIGHT - 60_000, limit: int = 100) -> dict[tuple[str, str], list[int]]:
    with database.read() as connection:
        return latencies.newest(connection, FLAG, since_ms, MIDNIGHT + 60_000, limit)


def written(database: Database, *times_ms: int) -> None:
    """Deliveries at these times; their latencies count up."""
    rows = [an_outcome(outcome="delivered", at_ms=at, latency_ms=number) for number, at in enumerate(times_ms)]
    with database.write() as connection:
        outcomes.append(connection, rows)


def values(found: dict[tuple[str, str], list[int]]) -> list[int]:
    return [value for values in found.values() for value in values]


@pytest.fixture
def two_days(database: Database) -> Database:
    """A database with partitions for both days around a midnight, where it has partitions."""
    with database.read() as connection:
        divided = partitions.partitioned(connection)
    for first_ms in (MIDNIGHT - DAY_MS, MIDNIGHT) if divided else ():
        with database.write() as connection:
            partitions.make(connection, first_ms)
    return database


def test_the_newest_come_first_across_a_midnight(two_days: Database) -> None:
    written(two_days, MIDNIGHT - 120_000, MIDNIGHT - 2, MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 1)
    assert values(newest(two_days)) == [4, 3, 2, 1]
    assert values(newest(two_days, limit=3)) == [4, 3, 2]


def test_rows_without_a_day_of_their_own_are_found(database: Database) -> None:
    written(database, MIDNIGHT - 1, MIDNIGHT)
    assert values(newest(database)) == [1, 0]


def test_what_was_not_delivered_or_is_another_flags_is_left_out(database: Database) -> None:
    rows = [
        an_outcome(outcome="failed", at_ms=MIDNIGHT, latency_ms=1),
        an_outcome(outcome="delivered", at_ms=MIDNIGHT, latency_ms=None),
        an_outcome(outcome="delivered", at_ms=MIDNIGHT, latency_ms=3, flag_key="other"),
        an_outcome(outcome="delivered", at_ms=MIDNIGHT, latency_ms=4, variant="legacy"),
    ]
    with database.write() as connection:
        outcomes.append(connection, rows)
    assert [(key[0], found) for key, found in newest(database).items()] == [("legacy", [4])]


def test_only_the_end_of_a_table_is_read(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latencies, "_PAGES", 1)
    monkeypatch.setattr(latencies, "_ROWS", 50)
    written(database, *(MIDNIGHT + at for at in range(1_000)))
    found = values(newest(database, limit=1_000))
    assert found == list(range(999, 999 - len(found), -1))
    assert 0 < len(found) < 200
