"""A rollback is verified by the instances that serve users."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, update

from controller.domain.rollouts import Phase
from controller.storage import rollouts
from controller.storage.tables import instance_arms, instances
from controller.usecases import rollouts as commands
from controller.usecases.verification import check_rollback
from tests.builders import FLAG, ROLLOUT, T0, a_lease, a_live_rollout, an_instance, order, read

LEASE_MS = 120_000


@pytest.fixture
def rolled_back(database):
    a_live_rollout(database)
    commands.rollback(database, ROLLOUT, order(T0 + 1_000))
    return read(database)


def says(database, instance_id, **columns):
    with database.write() as connection:
        connection.execute(update(instances).where(instances.c.id == instance_id).values(**columns))


def arm(database, instance_id, **columns):
    values = {"instance": instance_id, "flag_key": FLAG, "variant": "unified", **columns}
    with database.write() as connection:
        connection.execute(insert(instance_arms).values(**values))


def checked(database, now_ms=T0 + 2_000):
    found = check_rollback(database, ROLLOUT, a_lease(database), now_ms)
    assert found is not None
    return found


def test_it_waits_for_an_instance_on_an_older_revision_and_names_it(database, rolled_back):
    an_instance(database, "chat-a", revision=rolled_back.revision - 1)
    found = checked(database)
    assert [(m.instance, m.why) for m in found.missing] == [("chat-a", f"still on revision {rolled_back.revision - 1}")]
    assert read(database).phase is Phase.ROLLING_BACK


def test_it_waits_for_open_canary_runs_and_counts_them(database, rolled_back):
    an_instance(database, "chat-a", revision=rolled_back.revision, applied_ms=T0 + 1_100)
    arm(database, "chat-a", open_runs=3)
    found = checked(database)
    assert (found.open_runs, found.missing[0].why) == (3, "3 canary run(s) open")


def test_it_waits_for_an_instance_that_still_gives_out_the_canary(database, rolled_back):
    an_instance(database, "chat-a", revision=rolled_back.revision)
    arm(database, "chat-a", since_applied=2)
    assert "2 canary exposure(s) after" in checked(database).missing[0].why


def test_it_is_verified_when_every_live_instance_has_confirmed(database, rolled_back):
    an_instance(database, "chat-a", revision=rolled_back.revision, applied_ms=T0 + 1_100)
    an_instance(database, "chat-b", revision=rolled_back.revision, applied_ms=T0 + 1_300)
    arm(database, "chat-a", last_exposure_ms=T0 + 900)
    found = checked(database)
    assert found.sentence == "verified (2 confirmed)"
    assert (found.first_applied_ms, found.last_applied_ms, found.last_exposure_ms) == (T0 + 1_100, T0 + 1_300, T0 + 900)
    after = read(database)
    assert (after.phase, after.verified_ms) == (Phase.ROLLED_BACK, T0 + 2_000)
    with database.read() as connection:
        assert rollouts.verification(connection, ROLLOUT) == found


def test_one_silent_beyond_its_lease_is_presumed_gone_and_counted_as_expired(database, rolled_back):
    an_instance(database, "chat-a", revision=rolled_back.revision, last_contact_ms=T0 + LEASE_MS)
    an_instance(database, "chat-b", revision=0)
    assert len(checked(database, T0 + LEASE_MS + 5_000).missing) == 1
    found = checked(database, T0 + LEASE_MS + 5_001)
    assert found.sentence == "verified (1 confirmed, 1 expired)"


def test_one_that_never_reports_is_listed_as_unverifiable_and_never_as_confirmed(database, rolled_back):
    an_instance(database, "edge", reports=False, revision=rolled_back.revision)
    found = checked(database)
    assert (found.confirmed, found.unverifiable, found.complete) == (0, 1, True)


@pytest.mark.usefixtures("rolled_back")
def test_one_that_said_goodbye_is_not_waited_for(database):
    an_instance(database, "chat-a", revision=0, closed_ms=T0)
    assert checked(database).complete


def test_nothing_is_checked_unless_a_rollback_is_under_way(database):
    a_live_rollout(database)
    assert check_rollback(database, ROLLOUT, a_lease(database), T0) is None
