"""Distinct users of each evidence epoch as rows: a bounded sample of keyed hashes, the same for both arms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import cache

from sqlalchemy import Connection, Executable, delete, func, select, tuple_

from controller.domain.ledger import Users
from controller.domain.outcomes import Arm
from controller.domain.samples import MOST_SAMPLED, TAG_LENGTH, SampleKey, sampled
from controller.storage import upserts
from controller.storage.tables import sampled_users, user_counts

#: An epoch's rows, of both arms.
_MOST_ROWS = 2 * MOST_SAMPLED
_HEX = 4


def append(connection: Connection, users: Mapping[SampleKey, Collection[str]]) -> None:
    """Add users that clients have seen for the first time; one that another client has seen too counts once.

    `users` names a user as often as clients do. The epoch's row is taken first, so that processes that write the same
    epoch wait for each other.
    """
    epochs = sorted({(key.rollout, key.epoch) for key in users})
    if not epochs:
        return
    dialect = connection.dialect.name
    connection.execute(_claim(dialect), [{"rollout": rollout, "epoch": epoch} for rollout, epoch in epochs])
    levels = _levels(connection, epochs)
    rows = [
        {**key._asdict(), "tag": tag}
        for key in sorted(users)
        for tag in sorted(set(users[key]))
        if sampled(tag, levels[key.rollout, key.epoch])
    ]
    if rows:
        added = Counter(SampleKey(*row) for row in connection.execute(_insertion(dialect), rows))
        asked = Counter(
            key for key, tags in users.items() for tag in tags if sampled(tag, levels[key.rollout, key.epoch])
        )
        _count(connection, epochs, added, asked)


def counts(connection: Connection, epochs: Iterable[tuple[str, int]]) -> dict[str, Users]:
    """The distinct users of the given epochs, by rollout."""
    keys = tuple_(user_counts.c.rollout, user_counts.c.epoch)
    columns = (user_counts.c[name] for name in ("rollout", "canary", "control", "level"))
    statement = select(*columns).where(keys.in_(sorted(epochs)))
    return {rollout: Users(canary, control, level) for rollout, canary, control, level in connection.execute(statement)}


def _count(
    connection: Connection, epochs: Iterable[tuple[str, int]], added: Counter[SampleKey], asked: Counter[SampleKey]
) -> None:
    for rollout, epoch in epochs:
        arms = {arm.value: added[SampleKey(rollout, epoch, arm.value)] for arm in Arm}
        moved = sum(asked[SampleKey(rollout, epoch, arm)] - new for arm, new in arms.items())
        if not moved and not any(arms.values()):
            continue
        here = (user_counts.c.rollout == rollout) & (user_counts.c.epoch == epoch)
        grown = {arm: user_counts.c[arm] + new for arm, new in arms.items()}
        statement = user_counts.update().where(here).values(**grown, moved=user_counts.c.moved + moved)
        row = connection.execute(statement.returning(*(user_counts.c[n] for n in ("canary", "control", "level")))).one()
        left, level = row.canary + row.control, row.level
        while left > _MOST_ROWS:
            level += 1
            left = _halve(connection, rollout, epoch, level)


def _halve(connection: Connection, rollout: str, epoch: int, level: int) -> int:
    """Keep only users whose tag begins with one more zero bit: each arm's sample shrinks alike; returns how many."""
    first_out = f"{1 << (_HEX * TAG_LENGTH - level):0{TAG_LENGTH}x}"
    here = (sampled_users.c.rollout == rollout) & (sampled_users.c.epoch == epoch)
    connection.execute(delete(sampled_users).where(here, sampled_users.c.tag >= first_out))
    left = select(sampled_users.c.arm, func.count()).where(here).group_by(sampled_users.c.arm)
    found = {arm: int(count) for arm, count in connection.execute(left)}
    connection.execute(
        user_counts.update()
        .where(user_counts.c.rollout == rollout, user_counts.c.epoch == epoch)
        .values(level=level, **{arm.value: found.get(arm.value, 0) for arm in Arm})
    )
    return sum(found.values())


def _levels(connection: Connection, epochs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """The sample's level of each epoch; no other process changes them before this one is done."""
    keys = tuple_(user_counts.c.rollout, user_counts.c.epoch)
    columns = (user_counts.c[name] for name in ("rollout", "epoch", "level"))
    statement = select(*columns).where(keys.in_(sorted(epochs))).order_by(user_counts.c.rollout, user_counts.c.epoch)
    return {(row.rollout, row.epoch): row.level for row in connection.execute(statement.with_for_update())}


@cache
def _claim(dialect: str) -> Executable:
    return upserts.insert(dialect, user_counts).on_conflict_do_nothing()


@cache
def _insertion(dialect: str) -> Executable:
    columns = (sampled_users.c[name] for name in ("rollout", "epoch", "arm"))
    return upserts.insert(dialect, sampled_users).on_conflict_do_nothing().returning(*columns)
