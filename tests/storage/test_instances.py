"""Contact without a report; what reports do to instances is in test_groups.py."""

from controller.domain.instances import Contact, Instance
from controller.storage import instances
from controller.storage.database import Database
from tests.storage.builders import NOW_MS, a_batch, an_arm, closing, write


def contact(
    database: Database, key: str = "one", revision: int = 3, *, reports: bool = True, at_ms: int = NOW_MS
) -> Instance:
    with database.write() as connection:
        instances.keep_contacts(connection, [Contact(key, reports, revision, at_ms)])
        return {found.id: found for found in instances.every(connection)}[key]


def test_fetching_a_snapshot_does_not_confirm_it(database: Database) -> None:
    assert contact(database, revision=3).revision == 0
    write(database, a_batch(revision=4))
    found = contact(database, revision=9, at_ms=NOW_MS + 10)
    assert (found.revision, found.last_contact_ms, found.reports) == (4, NOW_MS + 10, True)


def test_of_an_evaluator_that_never_reports_the_fetch_is_all_that_is_known(database: Database) -> None:
    assert contact(database, revision=3, reports=False).reports is False
    assert contact(database, revision=5, reports=False).revision == 5
    assert contact(database, revision=4, reports=False).revision == 5


def test_an_evaluator_that_reports_after_all_speaks_for_itself(database: Database) -> None:
    contact(database, revision=9, reports=False)
    write(database, a_batch(seq=0, revision=2))
    found = contact(database, revision=9, reports=False)
    assert (found.reports, found.revision) == (True, 2)


def test_contact_never_moves_back(database: Database) -> None:
    contact(database)
    assert contact(database, at_ms=NOW_MS - 50).last_contact_ms == NOW_MS


def test_a_stream_that_is_still_held_does_not_reopen_an_instance_that_said_goodbye(database: Database) -> None:
    write(database, closing(a_batch()))
    assert contact(database, at_ms=NOW_MS + 5).closed_ms == NOW_MS


def test_live_instances_are_those_heard_of_that_have_not_left(database: Database) -> None:
    write(database, a_batch("1", "here"), a_batch("2", "silent", at_ms=NOW_MS - 500_000), closing(a_batch("3", "gone")))
    with database.read() as connection:
        assert [found.id for found in instances.live_instances(connection, NOW_MS - 125_000)] == ["here"]
        assert [found.id for found in instances.every(connection)] == ["gone", "here", "silent"]


def test_open_runs_are_listed_by_instance_and_arm(database: Database) -> None:
    write(database, a_batch(arms=(an_arm(open_runs=2), an_arm(variant="legacy"))))
    with database.read() as connection:
        found = instances.busy_arms(connection)
    assert {name: [(arm.variant, arm.open_runs) for arm in arms] for name, arms in found.items()} == {
        "one": [("unified", 2)]
    }


def test_contacts_of_many_are_written_at_once_the_latest_of_each(database: Database) -> None:
    found = [Contact(f"edge-{n % 50}", False, n, NOW_MS + n) for n in range(100)]
    with database.write() as connection:
        instances.keep_contacts(connection, found)
        assert [(i.revision, i.last_contact_ms - NOW_MS) for i in instances.every(connection)][:2] == [
            (50, 50),
            (51, 51),
        ]
        assert len(instances.every(connection)) == 50


def test_what_a_contact_says_of_sdk_and_clock_is_kept_until_another_says_more(database: Database) -> None:
    with database.write() as connection:
        instances.keep_contacts(connection, [Contact("one", False, 1, NOW_MS, "python 1.0", -250)])
        instances.keep_contacts(connection, [Contact("one", False, 1, NOW_MS + 1)])
        (found,) = instances.every(connection)
        assert (found.sdk, found.clock_offset_ms) == ("python 1.0", -250)
        instances.keep_contacts(connection, [Contact("one", False, 1, NOW_MS + 2, "python 1.1", 90)])
        (found,) = instances.every(connection)
        assert (found.sdk, found.clock_offset_ms) == ("python 1.1", 90)
