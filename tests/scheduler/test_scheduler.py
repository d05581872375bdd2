"""Who evaluates, and when."""

from __future__ import annotations

import threading

import pytest
from prometheus_client import CollectorRegistry

from controller.domain.rollouts import Phase
from controller.scheduler import evaluator as room
from controller.scheduler.evaluator import Evaluator
from controller.scheduler.jobs import Scheduler
from controller.scheduler.leadership import Leadership
from controller.storage import leases
from controller.telemetry import Metrics
from controller.usecases import rollouts as commands
from tests.builders import ROLLOUT, T0, a_lease, a_live_rollout, manifest, order, read, report
from tests.builders import a_flag as add_flag

PATIENCE_S = 20


class Site:
    """One controller process's scheduler, by hand."""

    def __init__(self, database, clock, holder="one"):
        self.metrics = Metrics(CollectorRegistry())
        self.changed = threading.Event()
        self.leadership = Leadership(database, clock, holder)
        self.evaluator = Evaluator(database, clock, self.leadership, self.metrics, self.changed.set)
        self.scheduler = Scheduler(self.leadership, self.evaluator, self.metrics)


@pytest.fixture
def site(database, clock):
    return Site(database, clock)


def test_without_the_lease_nothing_is_evaluated(database, clock, site):
    report(database, a_live_rollout(database), failed=5)
    a_lease(database, "somebody else", clock())
    site.leadership.renew()
    site.evaluator.evaluate_all()
    assert read(database).phase is Phase.PROGRESSING


def test_the_holder_evaluates_every_live_rollout(database, site):
    first = a_live_rollout(database)
    add_flag(database, "other")
    commands.apply(database, manifest(rollout="second", flag="other", allow_overlap=True), order())
    second = commands.start(database, "second", order())[0]
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


def test_an_error_in_one_rollout_does_not_keep_the_others_from_being_judged(database, site, monkeypatch):
    first = a_live_rollout(database)
    report(database, first, failed=5)
    add_flag(database, "other")
    commands.apply(database, manifest(rollout="a-broken-one", flag="other", allow_overlap=True), order())
    commands.start(database, "a-broken-one", order())
    real = room.evaluate

    def breaks(database, key, lease, now_ms):
        if key == "a-broken-one":
            raise ZeroDivisionError
        return real(database, key, lease, now_ms)

    monkeypatch.setattr(room, "evaluate", breaks)
    site.leadership.renew()
    site.evaluator.evaluate_all()
    assert read(database).phase is Phase.ROLLING_BACK
    assert site.metrics.errors._value.get() == 1


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
