"""Who evaluates, and when."""

from __future__ import annotations

import threading

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import update

from controller.domain.rollouts import Phase
from controller.scheduler import evaluator as room
from controller.scheduler import jobs
from controller.scheduler.evaluator import Evaluator
from controller.scheduler.jobs import Scheduler
from controller.scheduler.leadership import Leadership
from controller.scheduler.planner import Planner
from controller.storage import leases
from controller.storage.rollouts import measured
from controller.storage.tables import rollouts
from controller.telemetry import Metrics
from controller.usecases import rollouts as commands
from tests.builders import ROLLOUT, T0, a_lease, a_live_rollout, a_second_rollout, order, read, report

PATIENCE_S = 20


class Site:
    """One controller process's scheduler, by hand."""

    def __init__(self, database, clock, holder="one"):
        self.metrics = Metrics(CollectorRegistry())
        self.changed = threading.Event()
        self.leadership = Leadership(database, clock, holder)
        self.evaluator = Evaluator(database, clock, self.leadership, self.metrics, self.changed.set)
        self.planner = Planner(database, clock, self.leadership, self.metrics, self.changed.set)
        self.scheduler = Scheduler(self.leadership, self.evaluator, self.planner, self.metrics)


@pytest.fixture
def site(database, clock):
    found = Site(database, clock)
    yield found
    found.leadership.lost()  # its sign of life would outlive the test


def test_without_the_lease_nothing_is_evaluated(database, clock, site):
    report(database, a_live_rollout(database), failed=5)
    a_lease(database, "somebody else", clock())
    site.leadership.renew()
    site.evaluator.evaluate_all()
    assert read(database).phase is Phase.PROGRESSING


def test_the_holder_evaluates_every_live_rollout(database, site):
    first = a_live_rollout(database, allow_overlap=True)
    second = a_second_rollout(database, "second")
    report(database, first, failed=5)
    report(database, second, failed=5)
    site.leadership.renew()
    site.evaluator.evaluate_all()
    assert [read(database, key).phase for key in (ROLLOUT, "second")] == [Phase.ROLLING_BACK] * 2
    assert site.changed.is_set()


def test_a_poll_evaluates_only_where_failures_wait(database, site):
    rollout = a_live_rollout(database)
    site.leadership.renew()
    report(database, rollout, delivered=500)
    site.evaluator.poll()
    assert not site.changed.is_set()
    report(database, rollout, failed=100)
    site.evaluator.poll()
    assert read(database).phase is not Phase.PROGRESSING


def test_a_poll_verifies_a_rollback_that_is_under_way(database, site):
    a_live_rollout(database)
    commands.rollback(database, ROLLOUT, order(T0 + 1))
    site.leadership.renew()
    site.evaluator.poll()
    assert read(database).phase is Phase.ROLLED_BACK


def test_a_holder_that_was_frozen_past_its_lease_is_refused_and_stops(database, clock, site):
    rollout = a_live_rollout(database)
    site.leadership.renew()
    with database.write() as connection:
        leases.release(connection, "one")
    a_lease(database, "two", clock())
    report(database, rollout, failed=5)
    site.evaluator.evaluate_all()
    assert read(database).phase is Phase.PROGRESSING
    assert site.leadership.lease is None


def test_an_error_in_one_rollout_does_not_keep_the_others_from_being_judged(database, site):
    first = a_live_rollout(database, allow_overlap=True)
    report(database, first, failed=5)
    a_second_rollout(database, "a-broken-one")
    with database.write() as connection:
        connection.execute(update(rollouts).where(rollouts.c.key == "a-broken-one").values(constants="gone"))
    site.leadership.renew()
    site.evaluator.evaluate_all()
    assert read(database).phase is Phase.ROLLING_BACK
    assert site.metrics.errors._value.get() == 1


def test_a_rollout_that_spoils_its_group_leaves_each_of_it_to_be_tried_alone(database, site, monkeypatch):
    first = a_live_rollout(database, allow_overlap=True)
    report(database, first, failed=5)
    a_second_rollout(database, "a-broken-one")
    real, tried = room.evaluate, []

    def breaks(database, keys, lease, now_ms):
        tried.append(list(keys))
        if "a-broken-one" in keys:
            raise ZeroDivisionError
        return real(database, keys, lease, now_ms)

    monkeypatch.setattr(room, "evaluate", breaks)
    site.leadership.renew()
    site.evaluator.evaluate_all()
    assert tried == [["a-broken-one", ROLLOUT], ["a-broken-one"], [ROLLOUT]]
    assert read(database).phase is Phase.ROLLING_BACK
    assert site.metrics.errors._value.get() == 2


def test_many_rollouts_are_judged_in_groups(sqlite_database, clock, monkeypatch):
    site = Site(sqlite_database, clock)
    groups, real = [], room.evaluate

    def watched(database, keys, lease, now_ms):
        groups.append(len(keys))
        return real(database, keys, lease, now_ms)

    monkeypatch.setattr(room, "evaluate", watched)
    monkeypatch.setattr(room, "_GROUP", 3)
    for number in range(7):
        a_second_rollout(sqlite_database, f"r{number}")
    site.leadership.renew()
    site.evaluator.evaluate_all()
    assert groups == [3, 3, 1]


def test_the_tick_counts_a_control_that_is_measured_and_begins_the_first_stage(database, clock, site):
    measuring = a_live_rollout(database, clock(), measure="1h")
    site.leadership.renew()
    report(database, measuring, arm="control", delivered=5)
    site.evaluator.evaluate_all()
    with database.read() as connection:
        assert measured(connection, ROLLOUT)["agent_started"].total == 5_000
    assert not site.changed.is_set()
    clock.advance(3_600_000)
    site.leadership.renew()
    site.evaluator.evaluate_all()
    assert read(database).phase is Phase.PROGRESSING
    assert site.changed.is_set()


def test_a_wake_up_leaves_a_measuring_rollout_alone(database, site):
    measuring = a_live_rollout(database, measure="1h")
    site.leadership.renew()
    report(database, measuring, failed=5)
    site.evaluator.poll()
    assert read(database).phase is Phase.MEASURING
    with database.read() as connection:
        assert measured(connection, ROLLOUT) == {}


def test_a_wake_up_convicts_without_waiting_for_the_tick(database, site):
    rollout = a_live_rollout(database)
    site.scheduler.start()
    try:
        report(database, rollout, failed=5)
        site.scheduler.wake()
        assert site.changed.wait(PATIENCE_S)
        assert read(database).phase is not Phase.PROGRESSING
    finally:
        site.scheduler.stop()


def test_whoever_takes_the_lease_evaluates_at_once(database, site, monkeypatch):
    monkeypatch.setattr(jobs, "SLOT_MS", 3_600_000)
    rollout = a_live_rollout(database)
    report(database, rollout, delivered=50)
    site.scheduler.start()
    try:
        assert site.changed.wait(PATIENCE_S)
    finally:
        site.scheduler.stop()


def test_a_follower_takes_the_lease_of_one_that_was_killed_long_before_it_runs_out(postgresql_database, clock):
    killed, follower = Leadership(postgresql_database, clock, "killed"), Site(postgresql_database, clock, "follower")
    assert killed.renew() is not None
    follower.scheduler.start()
    try:
        killed.lost()  # its session ends, as with its process; the row stays as it is
        deadline = threading.Event()
        for _ in range(80):  # eight seconds; the lease runs ten
            if follower.leadership.lease is not None:
                break
            deadline.wait(0.1)
        assert follower.leadership.lease is not None
    finally:
        follower.scheduler.stop()


def test_a_clean_stop_gives_the_lease_up_at_once(database, site):
    site.scheduler.start()
    site.scheduler.stop()
    with database.read() as connection:
        assert leases.current(connection).expires_ms == 0


def test_rounds_never_overlap(database, site, monkeypatch):
    a_live_rollout(database)
    site.leadership.renew()
    inside, most, guard = [0], [0], threading.Lock()
    real = room.evaluate

    def watched(*arguments):
        with guard:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        try:
            return real(*arguments)
        finally:
            with guard:
                inside[0] -= 1

    monkeypatch.setattr(room, "evaluate", watched)
    rounds = [threading.Thread(target=site.evaluator.evaluate_all) for _ in range(4)]
    for thread in rounds:
        thread.start()
    for thread in rounds:
        thread.join()
    assert most == [1]
