"""Whether a rollback was right: people say so, and false ones are counted per 100 rollout-days."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from controller.domain.errors import NotFound, UnknownRollout
from controller.storage import rounds
from controller.storage.tables import audit
from controller.usecases import rollouts as commands
from controller.usecases import starting
from controller.usecases.verification import check_rollback
from controller.usecases.views.history import errors_view, round_views
from tests.builders import ROLLOUT, T0, a_lease, a_live_rollout, a_second_rollout, judged, order, read, report

DAY_MS = 86_400_000


def roll_back(database, at_ms, key=ROLLOUT):
    """The judge rolls a live rollout back."""
    lease = a_lease(database)
    report(database, read(database, key), failed=4)
    judged(database, lease, at_ms, key)
    check_rollback(database, key, lease, at_ms)


def again(database, at_ms):
    """The next round."""
    commands.re_arm(database, ROLLOUT, [], order(at_ms))
    starting.start(database, ROLLOUT, order(at_ms))


def labelled(database, *, true, number=None, **fields):
    return commands.label(database, ROLLOUT, right=true, number=number, order=order(**fields))


def errors(database, now_ms):
    with database.read() as connection:
        return errors_view(connection, now_ms)


def labels(database):
    with database.read() as connection:
        return [one.label for one in round_views(connection, ROLLOUT)]


def test_the_last_rollback_is_labelled_unless_another_is_named(database):
    a_live_rollout(database)
    roll_back(database, T0 + DAY_MS)
    again(database, T0 + 2 * DAY_MS)
    roll_back(database, T0 + 3 * DAY_MS)
    again(database, T0 + 4 * DAY_MS)
    assert labelled(database, true=True).round == 2
    assert labelled(database, true=False, number=1).round == 1
    assert labels(database) == [False, True, None]


def test_a_label_says_who_why_and_when_and_is_in_the_audit_trail(database):
    a_live_rollout(database)
    roll_back(database, T0 + DAY_MS)
    labelled(database, true=True)
    found = labelled(database, true=False, now_ms=T0 + 2 * DAY_MS, actor="bob", reason="the probe was broken")
    with database.read() as connection:
        assert rounds.latest(connection, ROLLOUT) == found
        entry = connection.execute(select(audit).order_by(audit.c.id.desc()).limit(1)).one()
    assert (found.labelled_by, found.label_reason, found.labelled_ms) == (
        "bob",
        "the probe was broken",
        T0 + 2 * DAY_MS,
    )
    assert (entry.actor, entry.action, entry.reason) == ("bob", "rollback.labelled", "the probe was broken")
    assert (entry.before, entry.after) == ({"round": 1, "label": True}, {"round": 1, "label": False})


def test_what_was_never_rolled_back_cannot_be_labelled(database):
    a_live_rollout(database)
    with pytest.raises(NotFound, match="no rollback to label"):
        labelled(database, true=True)
    roll_back(database, T0 + DAY_MS)
    with pytest.raises(NotFound, match="in round 2") as refused:
        labelled(database, true=True, number=2)
    assert refused.value.field == "round"
    with pytest.raises(UnknownRollout):
        commands.label(database, "nobody", right=True, number=None, order=order())


def test_false_rollbacks_are_counted_per_100_rollout_days(database):
    a_live_rollout(database, allow_overlap=True)
    a_second_rollout(database, "healthy")
    roll_back(database, T0 + DAY_MS)
    labelled(database, true=False)
    again(database, T0 + 2 * DAY_MS)
    roll_back(database, T0 + 4 * DAY_MS)
    found = errors(database, T0 + 7 * DAY_MS)
    assert (found.rollbacks, found.false_rollbacks, found.unlabelled) == (2, 1, 1)
    assert found.rollout_days == 1 + 2 + 7
    assert found.false_per_100_days == 10


def test_what_a_person_rolled_back_or_was_only_observed_says_nothing_of_the_judge(database):
    a_live_rollout(database)
    commands.rollback(database, ROLLOUT, order(T0 + DAY_MS))
    a_second_rollout(database, "watched", mode="observe")
    found = errors(database, T0 + 5 * DAY_MS)
    assert (found.rollbacks, found.false_rollbacks, found.rollout_days) == (0, 0, 1)
    assert found.false_per_100_days == 0
