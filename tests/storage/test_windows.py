from controller.domain.tallies import Counts
from controller.storage import windows
from controller.storage.database import Database
from tests.storage import builders
from tests.storage.builders import FLAG


def fill(database: Database) -> None:
    with database.write() as connection:
        for starts_ms in (10_000, 20_000, 30_000, 40_000):
            windows.add(connection, builders.windows(starts_ms=starts_ms, attempts=3, delivered=2, failed=1))
            windows.add(connection, builders.windows("legacy", starts_ms=starts_ms, attempts=10, delivered=10))
        windows.add(connection, builders.windows(event="agent_completed", starts_ms=40_000, latency_ms=2**52))


def test_counts_of_one_window_add_up(database: Database) -> None:
    with database.write() as connection:
        for _ in range(3):
            windows.add(connection, builders.windows(attempts=1, delivered=2, failed=3, latency_ms=4))
    with database.read() as connection:
        assert windows.health(connection, FLAG, 0) == {("unified", "agent_started"): Counts(3, 6, 9, 0, 0, 12)}


def test_health_sums_each_event_of_each_variant_since_a_time(database: Database) -> None:
    fill(database)
    with database.read() as connection:
        assert windows.health(connection, FLAG, 30_000) == {
            ("legacy", "agent_started"): Counts(20, 20),
            ("unified", "agent_completed"): Counts(latency_ms=2**52),
            ("unified", "agent_started"): Counts(6, 4, 2),
        }
        assert windows.health(connection, "other", 0) == {}


def test_a_series_merges_windows_into_steps(database: Database) -> None:
    fill(database)
    with database.read() as connection:
        found = windows.series(connection, FLAG, 0, 20_000)
        fine = windows.series(connection, FLAG, 30_000, 10_000)
    assert {type(at) for counts in found.values() for at in counts} == {int}
    assert found["unified", "agent_started"] == {0: Counts(3, 2, 1), 20_000: Counts(6, 4, 2), 40_000: Counts(3, 2, 1)}
    assert list(found["legacy", "agent_started"]) == [0, 20_000, 40_000]
    assert list(fine["legacy", "agent_started"]) == [30_000, 40_000]
