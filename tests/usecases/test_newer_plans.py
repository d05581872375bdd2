"""Plans that a newer release has written: shown, served and rolled back, but not judged by what is known of them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from controller.domain.errors import Conflict
from controller.domain.rollouts import Action, Phase
from controller.storage import rollouts
from controller.storage.database import Database
from controller.storage.tables import rollouts as table
from controller.usecases import rollouts as commands
from controller.usecases import starting
from controller.usecases.evaluation import evaluate
from tests.builders import (
    ROLLOUT,
    T0,
    a_draft,
    a_lease,
    a_live_rollout,
    a_second_rollout,
    order,
    published,
    read,
    report,
)

OTHER = "other"


def written(database: Database, **newer: Any) -> dict[str, Any]:
    """What a newer release makes of the manifest; as it is stored then."""
    with database.write() as connection:
        stored = dict(connection.execute(select(table.c.manifest).where(table.c.key == ROLLOUT)).scalar_one())
        stored |= newer
        connection.execute(update(table).where(table.c.key == ROLLOUT).values(manifest=stored))
    return stored


def stored(database: Database) -> dict[str, Any]:
    with database.read() as connection:
        return dict(connection.execute(select(table.c.manifest).where(table.c.key == ROLLOUT)).scalar_one())


NEWER: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"mood": "calm"}, ("mood",)),
    ({"mode": "dream"}, ("mode",)),
    ({"stages": [{"share": "100%", "bake": "1h", "mood": 1}]}, ("stages.0.mood",)),
    ({"guards": [{"metric": "happiness", "zeal": 3}]}, ("guards.0.metric", "guards.0.zeal")),
]


@pytest.mark.parametrize(("newer", "names"), NEWER)
def test_what_is_not_known_of_a_plan_is_named_and_all_else_is_read(
    sqlite_database: Database, newer: dict[str, Any], names: tuple[str, ...]
) -> None:
    a_draft(sqlite_database)
    written(sqlite_database, **newer)
    assert sorted(read(sqlite_database).unknown) == sorted(names)


def test_it_pauses_after_three_tries_and_the_others_are_judged(database: Database) -> None:
    mine = a_live_rollout(database)
    other = a_second_rollout(database, OTHER)
    lease = a_lease(database)
    whole = written(database, mood="calm")
    report(database, mine, failed=40)
    report(database, other, failed=40)
    found = {one.rollout: one for one in evaluate(database, [ROLLOUT, OTHER], lease, T0 + 1_000)}
    assert (found[ROLLOUT].action, found[OTHER].action) == (Action.HOLD, Action.ROLLBACK)
    assert read(database, ROLLOUT).weight == mine.weight
    for time in (2, 3):
        [last] = evaluate(database, [ROLLOUT], lease, T0 + 1_000 * time)
    assert (last.action, "UnknownPlan: a newer release wrote mood into its plan" in last.message) == (
        Action.PAUSE,
        True,
    )
    assert read(database).phase is Phase.PAUSED
    assert stored(database) == whole, "what the newer release wrote is still there"
    assert published(database).flags[mine.flag_key].rollout is not None, "clients go on"


def test_a_person_rolls_it_back_and_nobody_starts_it_here(database: Database) -> None:
    a_live_rollout(database)
    whole = written(database, mood="calm")
    commands.rollback(database, ROLLOUT, order())
    assert (read(database).phase, stored(database)) == (Phase.ROLLING_BACK, whole)


def test_a_draft_is_started_by_the_release_that_wrote_it(database: Database) -> None:
    a_draft(database)
    written(database, mood="calm")
    with pytest.raises(Conflict, match="a newer release wrote mood into its plan"):
        starting.start(database, ROLLOUT, order())
    with database.read() as connection:
        assert [one.key for one in rollouts.every(connection)] == [ROLLOUT]
