"""Before anybody sees the canary, the control is measured."""

from __future__ import annotations

import pytest

from controller.domain.errors import ControlBelowFloor, StaleTerm
from controller.domain.evaluation import Reason
from controller.domain.evaluation import evaluate as answer
from controller.domain.metrics import Family, Metric
from controller.domain.rollouts import Action, Phase
from controller.domain.tallies import Tally
from controller.storage import constants, leases, rollouts, rounds
from controller.usecases import rollouts as commands
from controller.usecases import starting
from controller.usecases.evaluation import evaluate
from controller.usecases.measuring import measure
from tests.builders import (
    EVENTS,
    FLAG,
    ROLLOUT,
    T0,
    a_lease,
    a_live_rollout,
    an_instance,
    control_delivered,
    last_decision,
    open_alerts,
    order,
    published,
    read,
    report,
)

HOUR_MS = 3_600_000
OVER = T0 + HOUR_MS


@pytest.fixture
def measuring(database):
    return a_live_rollout(database, measure="1h")


def measured(database):
    with database.read() as connection:
        return rollouts.measured(connection, ROLLOUT)


def test_starting_begins_with_the_measuring_and_says_so(database):
    begun = a_live_rollout(database, measure="1h")
    assert (begun.phase, begun.weight, begun.started_ms, begun.round) == (Phase.MEASURING, 0, T0, 0)
    said = last_decision(database)
    assert (said["action"], said["message"]) == ("measure", "measuring the control for 1h; nobody sees the canary yet")


@pytest.mark.usefixtures("measuring")
def test_nobody_sees_the_canary_meanwhile_and_clients_count_the_control(database):
    flag = published(database).flags[FLAG]
    assert flag.rollout is not None
    assert (flag.rollout.weight, flag.rollout.epoch) == (0, 1)
    answers = {answer(flag, f"user-{number}") for number in range(300)}
    assert {(found.variant, found.reason) for found in answers} == {("legacy", Reason.STATIC)}


def test_the_judge_does_not_evaluate_what_nobody_sees(database, measuring):
    lease = a_lease(database)
    report(database, measuring, failed=50)
    assert evaluate(database, [ROLLOUT], lease, T0 + 1_000) == []
    assert read(database).phase is Phase.MEASURING


def test_the_control_is_counted_as_it_arrives_and_nothing_else_is(database, measuring):
    lease = a_lease(database)
    report(database, measuring, arm="control", delivered=30, failed=1, streams=("agent_started",))
    report(database, measuring, arm="canary", failed=5)
    measure(database, ROLLOUT, lease, T0 + 10_000)
    report(database, measuring, arm="control", delivered=9, streams=("agent_started", "later"))
    measure(database, ROLLOUT, lease, T0 + 20_000)
    assert measured(database) == {"agent_started": Tally(1_000, 40_000), "later": Tally(0, 9_000)}
    measure(database, ROLLOUT, lease, T0 + 30_000)
    assert measured(database)["agent_started"] == Tally(1_000, 40_000)


def test_the_first_stage_begins_by_itself_when_the_time_is_over(database, measuring):
    lease = a_lease(database)
    an_instance(database, "chat-a", OVER, app_version="7")
    assert measure(database, ROLLOUT, lease, OVER - 1).phase is Phase.MEASURING
    assert measure(database, ROLLOUT, lease, OVER).phase is Phase.PROGRESSING
    found = read(database)
    assert (found.phase, found.stage, found.weight, found.round) == (Phase.PROGRESSING, 0, 1_000, 1)
    assert (found.stage_started_ms, found.started_ms, found.versions) == (OVER, T0, ("7",))
    assert found.epoch == measuring.epoch + 1
    assert published(database).flags[FLAG].rollout.weight == 1_000
    said = last_decision(database)
    assert (said["actor"], said["action"], said["term"]) == ("judge", "start", lease.term)
    assert said["message"].startswith("measured for its time: ")
    assert measured(database) == {}
    assert measure(database, ROLLOUT, lease, OVER + 1) is None


def test_the_measured_rate_sets_the_floors_of_what_windows_do_not_hold(database):
    guards = [{}, {"name": "speed", "metric": "delivered_within", "deadline": "100ms", "action": "pause"}]
    measuring, lease = a_live_rollout(database, measure="1h", guards=guards), a_lease(database)
    speed = Family(Metric.WITHIN, 100)
    report(database, measuring, arm="control", delivered=19_980, failed=20, streams=speed.firsts(EVENTS))
    control_delivered(database, 19_000, 560, OVER - 60_000)
    measure(database, ROLLOUT, lease, OVER)
    begun = read(database)
    with database.read() as connection:
        frozen = constants.get(connection, begun.constants)
    assert [test.floor_ppm for test in frozen.tests] == [960_000, 975_000]
    assert begun.floor_ppm == 960_000


@pytest.mark.usefixtures("measuring")
def test_a_control_below_its_floor_holds_the_rollout_with_an_alert_that_says_by_how_much(database):
    lease = a_lease(database)
    control_delivered(database, 940, 60, OVER - 60_000)
    for at_ms in (OVER, OVER + 10_000):
        assert measure(database, ROLLOUT, lease, at_ms).phase is Phase.MEASURING
        assert "2.00 points below the floor of 96%" in open_alerts(database)["control_below_floor"]
    assert published(database).flags[FLAG].rollout.weight == 0
    control_delivered(database, 9_000, 0, OVER)
    measure(database, ROLLOUT, lease, OVER + 20_000)
    assert read(database).phase is Phase.PROGRESSING
    assert open_alerts(database) == {}


def test_a_control_that_is_known_to_be_below_its_floor_is_not_even_measured(database):
    control_delivered(database, 940, 60)
    with pytest.raises(ControlBelowFloor):
        a_live_rollout(database, measure="1h")
    assert read(database).phase is Phase.DRAFT


@pytest.mark.usefixtures("measuring")
def test_starting_it_again_ends_the_measuring_before_its_time(database):
    lease = a_lease(database)
    started, meaning = starting.start(database, ROLLOUT, order(T0 + 60_000, actor="bob"))
    assert (started.phase, started.started_by) == (Phase.PROGRESSING, "bob")
    assert "rolls back on evidence" in meaning
    assert measure(database, ROLLOUT, lease, OVER) is None


@pytest.mark.usefixtures("measuring")
def test_measuring_can_be_given_up(database):
    lease = a_lease(database)
    control_delivered(database, 940, 60, OVER - 60_000)
    measure(database, ROLLOUT, lease, OVER)
    commands.abort(database, ROLLOUT, order(OVER + 5_000))
    assert read(database).phase is Phase.ABORTED
    assert published(database).flags[FLAG].rollout is None
    assert open_alerts(database) == {}
    assert measure(database, ROLLOUT, lease, OVER + 10_000) is None


def test_outcomes_of_the_measuring_do_not_prove_the_stage(database, measuring):
    lease = a_lease(database)
    measure(database, ROLLOUT, lease, OVER)
    report(database, measuring, delivered=400)  # of the measuring's epoch, and late
    report(database, measuring, failed=30)
    [found] = evaluate(database, [ROLLOUT], lease, OVER + 20_000)
    assert found.action is Action.HOLD
    with database.read() as connection:
        [round_] = rounds.of_rollout(connection, ROLLOUT)
    assert (round_.first_seq, round_.first_epoch, round_.started_ms) == (1, measuring.epoch + 1, OVER)


@pytest.mark.usefixtures("measuring")
def test_a_stale_leader_measures_nothing(database):
    stale = a_lease(database, "one")
    with database.write() as connection:
        leases.release(connection, "one")
    a_lease(database, "two")
    with pytest.raises(StaleTerm):
        measure(database, ROLLOUT, stale, OVER)
    assert read(database).phase is Phase.MEASURING
