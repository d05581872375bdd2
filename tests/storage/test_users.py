"""Distinct users: each counts once, whoever names it, in a bounded sample that is alike for both arms."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from sqlalchemy import select

from controller.domain.ledger import Users
from controller.domain.samples import MOST_SAMPLED, TAG_LENGTH, SampleKey, sampled
from controller.storage import users
from controller.storage.database import Database
from controller.storage.tables import sampled_users, user_counts
from tests.storage import builders
from tests.storage.builders import a_batch, add_rollout, count, write
from tests.storage.gates import PATIENCE_S, MakeWriter


def tag(number: int) -> str:
    return f"{number:0{TAG_LENGTH}x}"


def tags(chance: Random, many: int) -> list[str]:
    return [f"{chance.getrandbits(4 * TAG_LENGTH):0{TAG_LENGTH}x}" for _ in range(many)]


def seen(database: Database, *found: str, **key: str | int) -> None:
    with database.write() as connection:
        users.append(connection, builders.users(*found, **key))


def counted(database: Database, rollout: str = "r", epoch: int = 1) -> Users | None:
    with database.read() as connection:
        return users.counts(connection, {(rollout, epoch)}).get(rollout)


def moved(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(select(user_counts.c.moved)).scalar_one()


def kept(database: Database, arm: str) -> set[str]:
    with database.read() as connection:
        return set(connection.execute(select(sampled_users.c.tag).where(sampled_users.c.arm == arm)).scalars())


def test_a_user_counts_once_over_instances_reports_and_groups(database: Database) -> None:
    add_rollout(database)
    alice, bob, carl = tag(1), tag(2), tag(3)
    write(
        database,
        a_batch("1", "one", users=builders.users(alice, bob)),
        a_batch("2", "two", users=builders.users(bob)),
    )
    write(database, a_batch("3", "two", seq=2, users=builders.users(alice, carl)))
    write(database, a_batch("3", "two", seq=2, users=builders.users(alice, carl)))
    assert counted(database) == Users(canary=3)
    assert count(database, "sampled_users") == 3


def test_a_user_that_comes_from_another_instance_later_is_counted_as_moved(database: Database) -> None:
    add_rollout(database)
    write(database, a_batch("1", "one", users=builders.users(tag(1), tag(2))))
    assert moved(database) == 0
    write(database, a_batch("2", "two", users=builders.users(tag(2), tag(3))))
    assert moved(database) == 1
    write(database, a_batch("2", "two", users=builders.users(tag(2), tag(3))))  # a repeat moves nobody
    assert moved(database) == 1
    together = [a_batch(f"{at}", f"{at}", users=builders.users(tag(4))) for at in (3, 4, 5)]
    write(database, *together)
    assert moved(database) == 3


def test_the_arms_and_the_epochs_are_counted_apart(database: Database) -> None:
    seen(database, tag(1), tag(2))
    seen(database, tag(2), arm="control")
    seen(database, tag(1), epoch=2)
    seen(database, tag(9), rollout="s", arm="control")
    assert counted(database) == Users(canary=2, control=1)
    assert counted(database, epoch=2) == Users(canary=1)
    assert counted(database, "s") == Users(control=1)
    assert counted(database, "s", epoch=2) is None
    with database.read() as connection:
        assert users.counts(connection, {("r", 2), ("s", 1)}) == {"r": Users(canary=1), "s": Users(control=1)}


def test_users_of_a_rollout_that_takes_no_evidence_are_not_kept(database: Database) -> None:
    add_rollout(database, phase="promoted")
    write(
        database, a_batch(users=builders.users(tag(1))), a_batch("2", users=builders.users(tag(1), rollout="unheard"))
    )
    assert count(database, "sampled_users") == count(database, "user_counts") == 0


def test_a_large_sample_is_halved_alike_for_both_arms(database: Database) -> None:
    chance, control, canary = Random(1), [], []
    for _ in range(5):
        control.append(tags(chance, 3 * MOST_SAMPLED // 4))
        canary.append(tags(chance, MOST_SAMPLED // 4))
        seen(database, *control[-1], arm="control")
        seen(database, *canary[-1])
    found = counted(database)
    assert found is not None
    assert found.level == 2
    for arm, known in (("control", control), ("canary", canary)):
        everybody = {user for some in known for user in some}
        assert kept(database, arm) == {user for user in everybody if sampled(user, found.level)}
        assert getattr(found, arm) == len(kept(database, arm))
    assert abs((found.canary << found.level) / (5 * MOST_SAMPLED // 4) - 1) < 0.2
    assert moved(database) == 0


def test_the_sample_is_bounded_however_many_users_come_at_once(database: Database) -> None:
    seen(database, *tags(Random(2), 10 * MOST_SAMPLED))
    found = counted(database)
    assert found is not None
    assert count(database, "sampled_users") == found.canary <= 2 * MOST_SAMPLED
    assert abs((found.canary << found.level) / (10 * MOST_SAMPLED) - 1) < 0.2


def test_users_outside_of_the_sample_change_nothing(database: Database) -> None:
    seen(database, *tags(Random(3), 4 * MOST_SAMPLED))
    before = counted(database)
    assert before is not None
    assert before.level
    seen(database, "f" * TAG_LENGTH, arm="control")
    assert counted(database) == before


def test_processes_that_see_the_same_users_count_them_once(
    database: Database,
    database_url: str,
    opened: Callable[[str], Database],
    make_writer: MakeWriter,
    pool: ThreadPoolExecutor,
) -> None:
    add_rollout(database)
    writers = [make_writer(database), make_writer(opened(database_url))]
    chance = Random(4)
    known = tags(chance, 600)
    reports = [
        a_batch(f"batch-{number:03}", f"instance-{number}", users=_both(chance.sample(known, 400)))
        for number in range(8)
    ]
    sent = [pool.submit(writers[at % 2].submit, report) for at, report in enumerate(reports)]
    for future in sent:
        future.result(PATIENCE_S)
    named = {user for report in reports for user in report.users[SampleKey("r", 1, "canary")]}
    assert counted(database) == Users(canary=len(named), control=len(named))
    assert moved(database) == 2 * (8 * 400 - len(named))


def _both(found: Iterable[str]) -> dict[SampleKey, tuple[str, ...]]:
    return builders.users(*found) | builders.users(*found, arm="control")


@pytest.mark.parametrize(("level", "first_out"), [(0, "f" * 12), (1, "8" + "0" * 11), (5, "08" + "0" * 10)])
def test_a_sample_is_what_begins_with_so_many_zero_bits(level: int, first_out: str) -> None:
    assert sampled("0" * TAG_LENGTH, level)
    assert sampled(tag(int(first_out, 16) - 1), level)
    assert sampled(first_out, level) == (level == 0)
