"""What people are told without anything being moved: raised once, kept while it lasts, cleared when it is over."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from controller.domain.judge.findings import Verdict
from controller.domain.rollouts import Action
from controller.domain.samples import TAG_LENGTH, SampleKey
from controller.storage import users
from controller.storage.tables import instances, outbox
from controller.usecases import rollouts as commands
from controller.usecases.views.alerts import alert_history
from controller.usecases.views.alerts import open_alerts as listed
from tests.builders import ROLLOUT, T0, a_lease, a_live_rollout, an_instance, judged, open_alerts, order, read, report

LEASE_MS = 120_000
LOST_MS = LEASE_MS + 5_001


def alerts_sent(database):
    with database.read() as connection:
        rows = connection.execute(select(outbox.c.kind, outbox.c.body).order_by(outbox.c.id)).all()
    return [(kind, body["alert"]) for kind, body in rows if kind.startswith("alert.")]


def says(database, instance, **columns):
    with database.write() as connection:
        connection.execute(update(instances).where(instances.c.id == instance).values(**columns))


def seen_by(database, rollout, arm, many):
    tags = [f"{number:0{TAG_LENGTH}x}" for number in range(many)]
    with database.write() as connection:
        users.append(connection, {SampleKey(rollout.key, rollout.epoch, arm): tags})


def test_a_guard_that_alerts_says_so_once_and_moves_and_holds_nothing(database):
    guards = [{}, {"name": "strict", "at_least": "99%", "action": "alert"}]
    rollout, lease = a_live_rollout(database, guards=guards), a_lease(database)
    report(database, rollout, delivered=4_000, failed=80)
    found = judged(database, lease, T0 + 1_000)
    assert (found.verdict, found.action) == (Verdict.PASS, Action.HOLD)  # its bake time is not over
    assert list(open_alerts(database)) == ["sequential/strict"]
    assert "a healthy path" in open_alerts(database)["sequential/strict"]
    judged(database, lease, T0 + 5_000)
    assert alerts_sent(database) == [("alert.raised", "sequential/strict")]


def test_users_that_do_not_fit_the_share_hold_the_stage_until_they_do(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    report(database, rollout, delivered=400)
    seen_by(database, rollout, "control", 300)
    seen_by(database, rollout, "canary", 300)
    found = judged(database, lease, T0 + 20_000)
    assert found.action is Action.HOLD
    assert "300 of 600 sampled users are on the canary (50.0 %)" in found.message
    assert found.message.startswith(open_alerts(database)["sample_ratio"])
    seen_by(database, rollout, "control", 2_700)
    assert judged(database, lease, T0 + 30_000).action is Action.ADVANCE
    assert open_alerts(database) == {}
    assert alerts_sent(database) == [("alert.raised", "sample_ratio"), ("alert.cleared", "sample_ratio")]


def test_a_stage_waits_for_as_many_users_as_the_plan_asks_for(database):
    rollout, lease = a_live_rollout(database, min_users=50), a_lease(database)
    report(database, rollout, delivered=400)
    seen_by(database, rollout, "canary", 49)
    seen_by(database, rollout, "control", 441)
    held = judged(database, lease, T0 + 20_000)
    assert held.message.startswith("49 of at least 50 users have seen the canary")
    seen_by(database, rollout, "canary", 50)
    assert judged(database, lease, T0 + 30_000).action is Action.ADVANCE


def test_an_instance_that_was_lost_with_attempts_open_is_named_with_their_number(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    an_instance(database, "chat-a", T0, attempted=50, delivered=30, failed=5, abandoned=2, interrupted=1, pending=12)
    an_instance(database, "chat-b", T0, attempted=9, delivered=9)
    judged(database, lease, T0 + LOST_MS - 1)
    assert open_alerts(database) == {}
    judged(database, lease, T0 + LOST_MS)
    assert open_alerts(database) == {"lost_instance": "1 instance(s) lost with attempts open: chat-a (12 unknown)"}
    report(database, rollout, delivered=1)
    judged(database, lease, T0 + LOST_MS + 10_000)
    says(database, "chat-a", last_contact_ms=T0 + LOST_MS + 15_000)
    judged(database, lease, T0 + LOST_MS + 20_000)
    assert open_alerts(database) == {}
    assert alerts_sent(database) == [("alert.raised", "lost_instance"), ("alert.cleared", "lost_instance")]


def test_an_instance_that_left_in_order_is_not_lost(database):
    a_live_rollout(database)
    an_instance(database, "chat-a", T0, closed_ms=T0, attempted=5, delivered=5)
    judged(database, a_lease(database), T0 + LOST_MS)
    assert open_alerts(database) == {}


def test_figures_that_do_not_add_up_are_told_while_the_instance_is_there(database):
    a_live_rollout(database)
    lease = a_lease(database)
    an_instance(database, "chat-a", T0, attempted=50, delivered=40, failed=5, pending=3)
    judged(database, lease, T0 + 1_000)
    assert open_alerts(database) == {
        "unreconciled": "attempts and outcomes of 1 instance(s) do not add up: chat-a (by 2)"
    }
    says(database, "chat-a", pending=5)
    judged(database, lease, T0 + 2_000)
    assert open_alerts(database) == {}


def test_a_canary_that_has_no_traffic_though_the_control_has_is_told(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    report(database, rollout, delivered=2)
    judged(database, lease, T0 + 1_000)
    report(database, rollout, delivered=900, arm="control")
    found = judged(database, lease, T0 + 70_000)
    assert found.action is Action.HOLD
    assert "the canary is silent, though the control's traffic calls for about" in found.message
    assert list(open_alerts(database)) == ["no_canary_traffic/reporting"]


def test_what_the_control_shares_is_told_while_it_is_held(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    for arm in ("canary", "control"):
        report(database, rollout, failed=40, arm=arm)
    judged(database, lease, T0 + 10_000)
    assert "held for up to 5 minutes" in open_alerts(database)["sequential/delivery"]


def test_nothing_is_open_when_the_rollout_is_over_and_all_is_in_its_history(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    an_instance(database, "chat-a", T0, attempted=50, pending=3)
    judged(database, lease, T0 + 1_000)
    with database.read() as connection:
        assert [(one.rollout, one.name) for one in listed(connection)] == [(rollout.key, "unreconciled")]
    commands.rollback(database, ROLLOUT, order(T0 + 2_000))
    with database.read() as connection:
        assert listed(connection) == []
        [past] = alert_history(connection, ROLLOUT, 10)
    assert (past.name, past.since_ms, past.until_ms) == ("unreconciled", T0 + 1_000, T0 + 2_000)
    assert read(database).decided_ms == T0 + 2_000


@pytest.mark.parametrize("many", [1, 7])
def test_many_instances_are_counted_and_the_first_few_are_named(database, many):
    a_live_rollout(database)
    for number in range(many):
        an_instance(database, f"chat-{number}", T0, attempted=2, pending=1)
    judged(database, a_lease(database), T0 + 1_000)
    message = open_alerts(database)["unreconciled"]
    assert f"of {many} instance(s)" in message
    assert message.endswith(" and 2 more" if many == 7 else "chat-0 (by 1)")
