"""What a slot holds besides its tallies; what clients are told to count; and the judge under a killed flag."""

from __future__ import annotations

from controller.domain.ledger import Apart, Gauges, Users, gauges_from
from controller.domain.metrics import Family, Metric
from controller.domain.rollouts import Action
from controller.domain.samples import SampleKey
from controller.domain.tallies import Tally
from controller.storage import ledger, users
from controller.usecases import flags as flag_commands
from controller.usecases import starting
from controller.usecases.flags import FlagChange
from tests.builders import (
    EVENTS,
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
from tests.storage.builders import a_batch, write

STREAM = "agent_started"


def gauges(database) -> Gauges:
    with database.read() as connection:
        row = ledger.latest_analysis(connection, ROLLOUT)
    return gauges_from(row["gauges"])


def test_a_slot_holds_who_failed_where_and_in_which_version(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    an_instance(database, "chat-a", T0, revision=99, app_version="6")
    an_instance(database, "chat-b", T0, revision=99, app_version="7")
    report(database, rollout, failed=2, delivered=1, instance="chat-a", streams=(STREAM,), users=("0000000b",))
    report(database, rollout, delivered=5, instance="chat-b", streams=(STREAM,))
    report(database, rollout, delivered=9, streams=(STREAM,), arm="control", instance="chat-b")
    judged(database, lease, T0 + 1_000)
    found = gauges(database)
    assert found.failing == {STREAM: ("0000000b",)}
    assert found.apart == {STREAM: Apart("chat-a", 2_000, 3_000, others_failed=False)}
    assert found.versions == {"6": Tally(2_000, 3_000), "7": Tally(0, 5_000)}


def test_a_slot_holds_the_open_units_of_both_arms_and_the_active_users(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    told = {
        (ROLLOUT, "canary", STREAM): 3,
        (ROLLOUT, "control", STREAM): 40,
        (ROLLOUT, "canary", "active"): 2,
        (ROLLOUT, "control", "active"): 8,
    }
    write(database, a_batch("1", at_ms=T0, revision=99, open_units=told))
    write(database, a_batch("2", "long-silent", at_ms=T0 - 60_000, open_units=told))
    with database.write() as connection:
        users.append(connection, {SampleKey(ROLLOUT, rollout.epoch, "canary"): ["00000000000a"]})
    judged(database, lease, T0 + 1)
    found = gauges(database)
    assert (found.open, found.control_open) == ({STREAM: 3}, {STREAM: 40})
    assert (found.active, found.users) == (2, Users(canary=1))


def test_two_users_are_enough_where_only_two_are_active(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    report(database, rollout, failed=8, users=("0000000a", "0000000b"))
    assert judged(database, lease, T0 + 1_000).action is Action.HOLD
    write(database, a_batch("1", at_ms=T0, revision=99, open_units={(ROLLOUT, "canary", "active"): 2}))
    assert judged(database, lease, T0 + 2_000).action is Action.ROLLBACK


def test_units_that_are_open_count_as_successes_until_they_speak(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    waiting = {(ROLLOUT, "canary", name): 3_000 for name in EVENTS}
    write(database, a_batch("1", at_ms=T0, revision=99, open_units=waiting))
    report(database, rollout, failed=4)
    assert judged(database, lease, T0 + 1_000).action is Action.HOLD
    write(database, a_batch("2", seq=2, at_ms=T0, revision=99, open_units=dict.fromkeys(waiting, 0)))
    assert judged(database, lease, T0 + 2_000).action is Action.ROLLBACK


def test_clients_are_told_what_is_counted_besides_delivery(database):
    guards = [
        {},
        {"name": "speed", "metric": "delivered_within", "deadline": "100ms", "action": "pause"},
        {"name": "slow", "metric": "delivered_within", "deadline": "2s", "action": "alert"},
        {"name": "complete", "metric": "run_completeness", "deadline": "5m"},
    ]
    a_live_rollout(database, guards=guards)
    told = published(database).flags[FLAG].rollout
    assert told.metrics == (
        Family(Metric.WITHIN, 100),
        Family(Metric.WITHIN, 2_000),
        Family(Metric.COMPLETENESS, 300_000, EVENTS[0], EVENTS[-1]),
    )


def test_nobody_sees_the_canary_of_a_killed_flag_so_nothing_is_promoted(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    report(database, rollout, delivered=400)
    flag_commands.change(database, FLAG, 1, FlagChange(enabled=False), actor="ann", now_ms=T0)
    held = judged(database, lease, T0 + 20_000)
    assert held.action is Action.HOLD
    assert held.message.startswith("the flag is killed, so nobody sees the canary; enable it to go on")
    report(database, rollout, failed=40)
    assert judged(database, lease, T0 + 31_000).action is Action.ROLLBACK


def test_starting_with_several_guards_says_what_each_of_them_does(database):
    guards = [
        {"at_least": "95%"},
        {"name": "no-worse", "margin_to_control": "1%", "action": "pause"},
        {"name": "speed", "metric": "delivered_within", "deadline": "100ms", "at_least": "99%", "action": "alert"},
    ]
    a_draft(database, guards=guards)
    _, meaning = starting.start(database, ROLLOUT, order())
    said = meaning.split("; ")
    assert said[0] == "no control history"
    assert said[1].startswith("delivery rolls back on evidence of less than a healthy 96 % once the observed rate of ")
    assert any(words.startswith("speed alerts on evidence of less than a healthy") for words in said)
    assert "no-worse pauses when the canary's delivery is worse by more than 1 point than the control's" in said
    assert open_alerts(database) == {}
    assert read(database).constants is not None
