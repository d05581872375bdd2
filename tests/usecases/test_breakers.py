"""What clients are told to judge their own outcomes by."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from controller.domain.judge.constants import from_canonical
from controller.domain.plans import Breaker
from controller.domain.snapshots import PublishedBreaker
from controller.storage import snapshots
from controller.storage.database import Database
from controller.storage.tables import rollouts as rows
from tests.builders import FLAG, T0, a_draft, a_live_rollout, published, read


def breaker(database: Database) -> PublishedBreaker | None:
    rollout = published(database).flags[FLAG].rollout
    return rollout.breaker if rollout else None


@pytest.mark.parametrize("mode", Breaker)
def test_a_started_rollout_says_what_its_clients_judge_by(database: Database, mode: Breaker) -> None:
    a_live_rollout(database, breaker=mode.value)
    found = breaker(database)
    assert found is not None
    assert (found.mode, found.round) == (mode, read(database).round)
    kept = from_canonical(found.constants)
    assert [test.guard for test in kept.tests] == ["delivery"]
    assert kept.margins == ()


def test_clients_of_a_rollout_that_only_observes_only_report(database: Database) -> None:
    a_live_rollout(database, mode="observe", breaker="trip")
    found = breaker(database)
    assert found is not None
    assert found.mode is Breaker.REPORT


def test_a_draft_and_a_rollout_without_a_guard_that_rolls_back_have_none(database: Database) -> None:
    a_draft(database)
    assert published(database).flags[FLAG].rollout is None


def test_without_a_guard_that_rolls_back_clients_judge_nothing(database: Database) -> None:
    a_live_rollout(database, guards=[{"action": "pause"}])
    assert published(database).flags[FLAG].rollout is not None
    assert breaker(database) is None


def test_constants_of_another_release_keep_no_snapshot_from_being_published(database: Database) -> None:
    a_live_rollout(database)
    with database.write() as connection:
        connection.execute(update(rows).values(constants="of-another-release"))
        snapshots.publish(connection, T0)
    assert breaker(database) is None
