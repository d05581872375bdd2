"""What one ingest transaction writes: repeats, late and reordered reports, gauges, evidence and windows."""

import itertools

from controller.domain.instances import Instance, InstanceArm
from controller.domain.tallies import Counts, Tally
from controller.storage import instances
from controller.storage.batches import Batch
from controller.storage.database import Database
from tests.storage import builders
from tests.storage.builders import (
    FLAG,
    NOW_MS,
    a_batch,
    add_rollout,
    an_arm,
    closing,
    count,
    drained,
    units_open,
    write,
)


def instance(database: Database, key: str = "one") -> Instance:
    with database.read() as connection:
        return {found.id: found for found in instances.every(connection)}[key]


def arm(database: Database, variant: str = "unified") -> InstanceArm:
    with database.read() as connection:
        [found] = instances.arms(connection, FLAG, variant)
    return found


def total(database: Database) -> Counts:
    return builders.counted(database)


def test_a_batch_is_counted_once_within_a_group_and_across_groups(database: Database) -> None:
    add_rollout(database)
    first, second = builders.a_full_batch(1), builders.a_full_batch(2)
    written = write(database, first, second, builders.a_full_batch(1))
    assert written.fresh == [first, second]
    assert write(database, builders.a_full_batch(2), builders.a_full_batch(1)).fresh == []
    assert total(database).delivered == 6
    assert drained(database) == {("one", 1, "canary", "a"): Tally(0, 6000)}
    assert count(database, "outcomes") == 6
    assert count(database, "batches") == 2


def test_a_group_of_thousands_of_rows_is_written_whole(database: Database) -> None:
    group = [builders.a_full_batch(number, f"instance-{number % 700}", outcomes=4) for number in range(1500)]
    assert write(database, *group).fresh == group
    assert write(database, *group).fresh == []
    assert count(database, "outcomes") == 6000
    assert count(database, "instances") == 700
    assert total(database).delivered == 6000


def test_an_older_report_never_overwrites_a_newer_one(database: Database) -> None:
    newer = a_batch("newer", seq=5, revision=7, app_version="2", arms=(an_arm(open_runs=1),))
    older = a_batch("older", seq=4, at_ms=NOW_MS + 900, revision=6, app_version="1", arms=(an_arm(open_runs=9),))
    write(database, newer)
    write(database, older)
    found = instance(database)
    assert (found.seq, found.revision, found.app_version) == (5, 7, "2")
    assert found.last_contact_ms == NOW_MS + 900  # late or not, it was alive
    assert arm(database).open_runs == 1


def test_reports_add_up_and_the_newest_word_counts_in_whatever_order_they_arrive(database: Database) -> None:
    def report(name: str, seq: int) -> Batch:
        return a_batch(
            f"{name}-{seq}",
            name,
            seq,
            NOW_MS + seq,
            revision=10 + seq,
            arms=(an_arm(name, open_runs=seq),),
            windows=builders.windows(name, attempts=seq),
        )

    for number, order in enumerate(itertools.permutations((1, 2, 3))):
        for at, grouped in enumerate((False, True)):
            name = f"instance-{number}-{at}"
            reports = [report(name, seq) for seq in order]
            if grouped:
                write(database, *reports)
            else:
                for one in reports:
                    write(database, one)
            found = instance(database, name)
            assert (found.seq, found.revision, found.last_contact_ms) == (3, 13, NOW_MS + 3), (order, grouped)
            assert builders.counted(database, name).attempts == 6
            with database.read() as connection:
                mine = [a for a in instances.arms(connection, FLAG, "unified") if a.instance == name]
            assert [found.open_runs for found in mine] == [3], (order, grouped)


def test_instances_that_do_not_number_their_reports_are_believed_in_the_order_of_arrival(database: Database) -> None:
    write(database, a_batch("one", seq=0, revision=1))
    write(database, a_batch("two", seq=0, revision=2))
    assert instance(database).revision == 2


def test_gauges_that_a_report_does_not_name_stay_as_they_were(database: Database) -> None:
    add_rollout(database)
    first = a_batch("1", seq=1, arms=(an_arm(open_runs=2, exposures=5),), open_units={("r", "canary", "a"): 3})
    write(database, first, a_batch("2", seq=2))
    write(database, a_batch("3", seq=3))
    assert arm(database).open_runs == 2
    assert units_open(database) == {("canary", "a"): 3}
    write(database, a_batch("4", seq=4, arms=(an_arm(),), open_units={("r", "canary", "a"): 0}))
    assert arm(database).open_runs == 0
    assert units_open(database) == {("canary", "a"): 0}


def test_parts_of_one_truth_that_arrive_in_one_group_are_all_kept(database: Database) -> None:
    write(database, a_batch("1", seq=1, arms=(an_arm(open_runs=2),)), a_batch("2", seq=2, arms=(an_arm(variant="x"),)))
    assert arm(database).open_runs == 2
    assert arm(database, "x").open_runs == 0


def test_the_last_exposure_is_not_forgotten(database: Database) -> None:
    write(database, a_batch("1", seq=1, arms=(an_arm(exposures=1, last_exposure_ms=NOW_MS - 5),)))
    write(database, a_batch("2", seq=2, arms=(an_arm(exposures=1),)))
    assert arm(database).last_exposure_ms == NOW_MS - 5


def test_a_goodbye_ends_an_instance_and_its_open_units_until_it_reports_again(database: Database) -> None:
    add_rollout(database)
    write(database, a_batch("1", seq=1, open_units={("r", "canary", "a"): 3}))
    write(database, closing(a_batch("2", seq=2, open_units={("r", "canary", "a"): 1})))
    assert instance(database).closed_ms == NOW_MS
    assert count(database, "open_units") == 0
    write(database, a_batch("late", seq=1))
    assert instance(database).closed_ms == NOW_MS
    write(database, a_batch("3", seq=3))
    assert instance(database).closed_ms is None


def test_a_repeat_is_a_contact_and_nothing_else(database: Database) -> None:
    write(database, a_batch("1", seq=1, revision=4))
    write(database, a_batch("1", seq=1, revision=5, at_ms=NOW_MS + 60_000))
    found = instance(database)
    assert (found.last_contact_ms, found.revision, found.seq) == (NOW_MS + 60_000, 4, 1)


def test_first_contact_is_kept(database: Database) -> None:
    write(database, a_batch("1", seq=1))
    write(database, a_batch("2", seq=2, at_ms=NOW_MS + 5000))
    assert instance(database).first_seen_ms == NOW_MS


def test_outcomes_are_kept_as_detail(database: Database) -> None:
    full = builders.an_outcome(
        outcome="failed",
        epoch=3,
        event_id="e",
        latency_ms=2**40,
        status="timeout",
        reason='"quoted",\nüml\\',
        user_hash="u",
        run_hash="",
    )
    plain = builders.an_outcome(at_ms=NOW_MS - 1)
    write(database, a_batch(outcomes=(full, plain)))
    assert builders.stored_outcomes(database) == [full, plain]
    assert builders.stored_outcomes(database, "other") == []


def test_a_receipt_tells_the_newest_revision(database: Database) -> None:
    assert write(database, a_batch()).revision == 0
