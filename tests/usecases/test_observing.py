"""Observe mode: the judge says what it would do, and moves nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from controller.domain.judge.findings import Verdict
from controller.domain.rollouts import Action, Phase
from controller.storage import quarantines
from controller.storage.tables import analyses, decisions, outbox
from controller.usecases import rollouts as commands
from controller.usecases import starting
from tests.builders import (
    FLAG,
    ROLLOUT,
    T0,
    a_draft,
    a_lease,
    a_live_rollout,
    an_instance,
    judged,
    open_alerts,
    order,
    published,
    read,
    report,
)


@pytest.fixture
def observed(database):
    return a_live_rollout(database, mode="observe")


def raised(database):
    with database.read() as connection:
        rows = connection.execute(select(outbox.c.kind, outbox.c.body).order_by(outbox.c.id)).all()
    return [(kind, body["alert"]) for kind, body in rows if kind.startswith("alert.")]


def count(database, table):
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_starting_says_that_nothing_is_moved(database):
    a_draft(database, mode="observe")
    _, meaning = starting.start(database, ROLLOUT, order())
    assert meaning.startswith("observing only, nothing is moved; otherwise: no control history; delivery rolls back")


def test_a_failing_canary_is_only_talked_about(database, observed):
    lease = a_lease(database)
    an_instance(database, "chat-a", T0, revision=99, app_version="7")
    report(database, observed, failed=4, instance="chat-a")
    before, acts = published(database).revision, count(database, decisions)
    found = judged(database, lease, T0 + 1_000)
    assert (found.verdict, found.action) == (Verdict.FAIL, Action.HOLD)
    assert found.message.startswith("observing: would rollback now. agent_started: 4 of the last 4 users failed")
    after = read(database)
    assert (after.phase, after.weight, after.epoch, after.version) == (
        Phase.PROGRESSING,
        observed.weight,
        observed.epoch,
        observed.version,
    )
    assert (published(database).revision, count(database, decisions)) == (before, acts)
    with database.read() as connection:
        assert quarantines.every(connection) == []


def test_what_it_would_do_is_said_once_and_is_over_when_it_would_not_any_more(database, observed):
    lease = a_lease(database)
    report(database, observed, failed=4)
    message = judged(database, lease, T0 + 1_000).message
    assert open_alerts(database) == {"would/rollback": message}
    slots = count(database, analyses)
    for later in (10_000, 20_000, 30_000):
        judged(database, lease, T0 + later)
    assert raised(database) == [("alert.raised", "would/rollback")]
    assert count(database, analyses) == slots + 1  # the bake time was over in between
    report(database, observed, delivered=4_000)
    judged(database, lease, T0 + 40_000)
    judged(database, lease, T0 + 50_000)
    assert ("alert.cleared", "would/rollback") in raised(database)


def test_a_proven_stage_does_not_advance_and_says_that_it_would(database, observed):
    lease = a_lease(database)
    report(database, observed, delivered=400)
    found = judged(database, lease, T0 + 20_000)
    assert (found.verdict, found.action) == (Verdict.PASS, Action.HOLD)
    assert found.message.startswith("observing: would advance now. every guard is proven")
    assert (read(database).weight, list(open_alerts(database))) == (1_000, ["would/advance"])


def test_no_approval_is_asked_for(database):
    stages = [{"share": "10%", "bake": "10s"}, {"share": "100%", "bake": "10s", "approval": "required"}]
    observed, lease = a_live_rollout(database, mode="observe", stages=stages), a_lease(database)
    report(database, observed, delivered=400)
    assert judged(database, lease, T0 + 20_000).action is Action.HOLD
    assert read(database).approval_asked_ms is None
    assert list(open_alerts(database)) == ["would/ask"]


def test_people_move_what_the_judge_only_observes(database, observed):
    lease = a_lease(database)
    report(database, observed, delivered=400)
    judged(database, lease, T0 + 20_000)
    assert commands.advance(database, ROLLOUT, order(T0 + 21_000)).weight == 5_000
    assert commands.rollback(database, ROLLOUT, order(T0 + 22_000)).phase is Phase.ROLLING_BACK
    assert published(database).flags[FLAG].rollout is None
    assert open_alerts(database) == {}
