"""Many rollouts in one transaction, and one of them that cannot be judged: no evidence is lost, nobody else suffers."""

from __future__ import annotations

import pytest
from sqlalchemy import event, func, select, update

from controller.domain.errors import ChangedMeanwhile, StaleTerm
from controller.domain.rollouts import Action, Phase
from controller.storage import constants as constant_rows
from controller.storage import leases, ledger
from controller.storage.tables import analyses, evidence_inbox, rollouts
from controller.usecases import evaluation
from controller.usecases import rollouts as commands
from controller.usecases.evaluation import evaluate
from tests.builders import (
    ROLLOUT,
    T0,
    a_lease,
    a_live_rollout,
    a_second_rollout,
    judged,
    last_decision,
    open_alerts,
    order,
    read,
    report,
)

BROKEN = "broken"


@pytest.fixture
def pair(database):
    """A rollout, and one whose constants a later release has frozen."""
    return a_live_rollout(database, allow_overlap=True), a_second_rollout(database, BROKEN)


def spoil(database, constants="of a later release"):
    with database.write() as connection:
        connection.execute(update(rollouts).where(rollouts.c.key == BROKEN).values(constants=constants))


def waiting(database, key):
    with database.read() as connection:
        return connection.execute(
            select(func.coalesce(func.sum(evidence_inbox.c.total), 0)).where(evidence_inbox.c.rollout == key)
        ).scalar_one()


def errors(database):
    with database.read() as connection:
        return ledger.memories(connection, [BROKEN])[BROKEN].errors


def together(database, lease, now_ms):
    return {found.rollout: found for found in evaluate(database, [ROLLOUT, BROKEN], lease, now_ms)}


def test_a_group_is_judged_in_one_transaction_and_each_by_its_own_evidence(database, pair):
    lease, commits = a_lease(database), []
    report(database, pair[0], failed=4)
    report(database, pair[1], delivered=40)

    def committed(connection):
        commits.append(connection)

    event.listen(database.engine, "commit", committed)
    found = together(database, lease, T0 + 1_000)
    event.remove(database.engine, "commit", committed)
    assert {key: one.action for key, one in found.items()} == {ROLLOUT: Action.ROLLBACK, BROKEN: Action.HOLD}
    assert len(commits) == 1


@pytest.mark.usefixtures("pair")
def test_what_is_not_live_any_more_or_never_was_is_left_out(database):
    commands.rollback(database, BROKEN, order())
    lease = a_lease(database)
    found = evaluate(database, [ROLLOUT, BROKEN, "never-heard-of"], lease, T0 + 1_000)
    assert [one.rollout for one in found] == [ROLLOUT]
    assert evaluate(database, [], lease, T0 + 1_000) == []


def test_a_rollout_that_cannot_be_judged_keeps_its_evidence_and_costs_the_others_nothing(database, pair):
    lease = a_lease(database)
    report(database, pair[0], failed=4)
    report(database, pair[1], failed=4, instance="chat-a")
    spoil(database)
    found = together(database, lease, T0 + 1_000)
    assert found[ROLLOUT].action is Action.ROLLBACK
    assert (found[BROKEN].verdict, found[BROKEN].action) == (None, Action.HOLD)
    assert found[BROKEN].message.startswith("the judge could not judge (1 in a row): UnknownConstants")
    assert isinstance(found[BROKEN].error, constant_rows.UnknownConstants)
    assert (waiting(database, BROKEN), waiting(database, ROLLOUT)) == (20_000, 0)
    spoil(database, pair[1].constants)
    assert judged(database, lease, T0 + 2_000, BROKEN).action is Action.ROLLBACK
    assert (waiting(database, BROKEN), errors(database)) == (0, 0)


def test_three_times_in_a_row_without_a_verdict_pause_and_call_a_person(database, pair):
    lease = a_lease(database)
    report(database, pair[1], delivered=7)
    spoil(database)
    for time in (1, 2):
        assert together(database, lease, T0 + 1_000 * time)[BROKEN].action is Action.HOLD
        assert open_alerts(database, BROKEN) == {}
    third = together(database, lease, T0 + 3_000)[BROKEN]
    assert third.action is Action.PAUSE
    assert read(database, BROKEN).phase is Phase.PAUSED
    assert open_alerts(database, BROKEN) == {"judge_error": third.message}
    said = last_decision(database, BROKEN)
    assert (said["action"], said["seq"], said["message"]) == ("pause", None, third.message)
    fourth = together(database, lease, T0 + 4_000)[BROKEN]
    assert (fourth.action, read(database, BROKEN).phase) == (Action.HOLD, Phase.PAUSED)
    assert waiting(database, BROKEN) == 35_000
    assert read(database).phase is Phase.PROGRESSING


def test_the_alarm_is_over_with_the_next_verdict(database, pair):
    lease = a_lease(database)
    spoil(database)
    for time in (1, 2, 3):
        together(database, lease, T0 + 1_000 * time)
    spoil(database, pair[1].constants)
    together(database, lease, T0 + 4_000)
    assert (open_alerts(database, BROKEN), errors(database)) == ({}, 0)
    assert read(database, BROKEN).phase is Phase.PAUSED  # a person resumes


@pytest.mark.usefixtures("pair")
def test_errors_with_a_verdict_in_between_do_not_add_up(database, pair):
    lease = a_lease(database)
    for time in range(1, 8):
        spoil(database, "of a later release" if time % 3 else pair[1].constants)
        together(database, lease, T0 + 1_000 * time)
    assert read(database, BROKEN).phase is Phase.PROGRESSING


@pytest.mark.usefixtures("pair")
def test_whatever_goes_wrong_in_the_judge_is_an_error_and_no_verdict(database, monkeypatch):
    real, lease = evaluation.judge, a_lease(database)

    def breaks(constants, before, slot):
        if slot.weight == 1_000 and breaks.first:
            breaks.first = False
            raise ZeroDivisionError("a bug")
        return real(constants, before, slot)

    breaks.first = True
    monkeypatch.setattr(evaluation, "judge", breaks)
    found = together(database, lease, T0 + 1_000)
    assert sorted(str(one.error) for one in found.values()) == ["None", "a bug"]


def test_a_rollout_of_an_earlier_release_is_not_judged_by_guesses(database, pair):
    lease = a_lease(database)
    report(database, pair[1], failed=40)
    spoil(database, None)
    found = together(database, lease, T0 + 1_000)[BROKEN]
    assert "started by an earlier release" in found.message
    assert waiting(database, BROKEN) == 200_000


def test_a_stale_leader_writes_nothing_for_any_of_a_group(database, pair):
    stale = a_lease(database, "one")
    with database.write() as connection:
        leases.release(connection, "one")
    a_lease(database, "two")
    for rollout in pair:
        report(database, rollout, failed=4)
    with pytest.raises(StaleTerm):
        together(database, stale, T0 + 1_000)
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(analyses)).scalar_one() == 0
    assert [waiting(database, key) for key in (ROLLOUT, BROKEN)] == [20_000, 20_000]


def test_a_rollout_that_a_person_changes_at_that_moment_leaves_the_group_as_it_was(database, pair, monkeypatch):
    lease, real = a_lease(database), evaluation.rollouts.some
    report(database, pair[0], failed=4)

    def somebody_is_quicker(connection, keys):
        found = real(connection, keys)
        connection.execute(update(rollouts).where(rollouts.c.key == ROLLOUT).values(version=99))
        return found

    monkeypatch.setattr(evaluation.rollouts, "some", somebody_is_quicker)
    with pytest.raises(ChangedMeanwhile):
        together(database, lease, T0 + 1_000)
    monkeypatch.undo()
    assert (read(database).version, waiting(database, ROLLOUT)) == (pair[0].version, 20_000)
    assert together(database, lease, T0 + 2_000)[ROLLOUT].action is Action.ROLLBACK


@pytest.mark.usefixtures("pair")
def test_looking_again_where_nothing_is_new_writes_no_slot_and_says_when_it_looked(database):
    lease = a_lease(database)
    together(database, lease, T0 + 20_000)
    for later in range(3, 20):
        together(database, lease, T0 + 10_000 * later)
    with database.read() as connection:
        slots = dict(connection.execute(select(analyses.c.rollout, func.count()).group_by(analyses.c.rollout)).all())
        looked = {key: one.evaluated_ms for key, one in ledger.memories(connection, [ROLLOUT, BROKEN]).items()}
    assert looked == {ROLLOUT: T0 + 190_000, BROKEN: T0 + 190_000}
    assert max(slots.values()) <= 2  # the first, and that nothing is heard of the canary
