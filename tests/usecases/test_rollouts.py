"""What people do with rollouts."""

from __future__ import annotations

import threading

import pytest

from controller.domain.errors import (
    AlreadyExists,
    ChangedMeanwhile,
    Conflict,
    ControlBelowFloor,
    Invalid,
    OverlappingEvents,
    Refusal,
    SecondLiveRollout,
    UnknownFlag,
    WrongPhase,
)
from controller.domain.rollouts import Phase
from controller.storage import flags
from controller.usecases import flags as flag_commands
from controller.usecases import rollouts as commands
from controller.usecases import starting
from controller.usecases.flags import FlagChange
from tests.builders import (
    FLAG,
    ROLLOUT,
    T0,
    a_draft,
    a_flag,
    a_live_rollout,
    control_delivered,
    manifest,
    order,
    published,
    read,
)


def test_a_draft_is_replaced_by_a_new_manifest_and_left_alone_by_the_same_one(database):
    first = a_draft(database)
    again = commands.apply(database, manifest(note="better"), order())
    assert (first.version, again.version, read(database).plan.note) == (1, 2, "better")
    assert commands.apply(database, manifest(note="better"), order()).version == 2


def test_a_manifest_for_an_unknown_flag_or_variant_is_refused_by_field(database):
    with pytest.raises(UnknownFlag) as unknown:
        commands.apply(database, manifest(flag="nobody"), order())
    assert unknown.value.field == "flag"
    a_flag(database)
    with pytest.raises(Invalid) as no_variant:
        commands.apply(database, manifest(canary="purple"), order())
    assert no_variant.value.field == "canary"
    assert "legacy, unified" in no_variant.value.detail


def test_starting_publishes_the_first_share_and_freezes_the_floor(database):
    started = a_live_rollout(database)
    assert (started.phase, started.weight, started.epoch) == (Phase.PROGRESSING, 1000, 1)
    assert (started.floor_ppm, started.round, started.started_by) == (960_000, 1, "ann")
    rollout = published(database).flags[FLAG].rollout
    assert rollout is not None
    assert (rollout.weight, rollout.epoch, rollout.salt) == (1000, 1, started.salt)


def test_the_floor_follows_the_control_of_the_last_day(database):
    a_draft(database)
    control_delivered(database, 19_960, 40)
    assert starting.start(database, ROLLOUT, order())[0].floor_ppm == 975_000


def test_start_is_refused_where_the_control_is_below_the_floor_and_says_by_how_much(database):
    a_draft(database)
    control_delivered(database, 940, 60)
    with pytest.raises(ControlBelowFloor) as refused:
        starting.start(database, ROLLOUT, order())
    assert "94.00 % of 1,000" in refused.value.detail
    assert "2.00 points below" in refused.value.detail


def test_a_second_live_rollout_of_a_flag_is_refused(database):
    a_live_rollout(database)
    commands.apply(database, manifest(rollout="second"), order())
    with pytest.raises(SecondLiveRollout):
        starting.start(database, "second", order())


def test_an_event_under_two_live_rollouts_is_refused_unless_overlap_is_allowed(database):
    a_live_rollout(database)
    a_draft(database, rollout="second", flag="other")
    with pytest.raises(OverlappingEvents) as refused:
        starting.start(database, "second", order())
    assert "agent_started" in refused.value.detail
    commands.apply(database, manifest(rollout="second", flag="other", allow_overlap=True), order())
    assert starting.start(database, "second", order())[0].phase is Phase.PROGRESSING


def test_of_two_starts_at_once_one_wins_and_the_other_is_told(database):
    a_draft(database)
    commands.apply(database, manifest(rollout="second"), order())
    told: list[str] = []
    together = threading.Barrier(2)

    def begin(key: str) -> None:
        together.wait()
        try:
            starting.start(database, key, order())
            told.append("started")
        except Refusal as refusal:
            told.append(refusal.code)

    racers = [threading.Thread(target=begin, args=(key,)) for key in (ROLLOUT, "second")]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(told) == ["second_live_rollout", "started"]


def test_a_killed_flag_cannot_start_a_rollout(database):
    a_draft(database)
    flag_commands.change(database, FLAG, 1, FlagChange(enabled=False), actor="ann", now_ms=T0)
    with pytest.raises(Conflict):
        starting.start(database, ROLLOUT, order())


def test_the_second_of_two_writers_is_told_to_read_again(database):
    started = a_live_rollout(database)
    commands.pause(database, ROLLOUT, order(version=started.version))
    with pytest.raises(ChangedMeanwhile):
        commands.rollback(database, ROLLOUT, order(version=started.version))


def test_a_paused_stage_does_not_bake_meanwhile(database):
    a_live_rollout(database)
    commands.pause(database, ROLLOUT, order(T0 + 4_000))
    resumed = commands.resume(database, ROLLOUT, order(T0 + 100_000))
    assert not resumed.baked(T0 + 100_000 + 5_999)
    assert resumed.baked(T0 + 100_000 + 6_000)


def test_a_rollback_by_hand_takes_the_canary_away_in_the_next_snapshot(database):
    a_live_rollout(database)
    before = published(database).revision
    after = commands.rollback(database, ROLLOUT, order(T0 + 5, reason="users complain"))
    assert (after.phase, after.weight, after.decided_ms) == (Phase.ROLLING_BACK, 0, T0 + 5)
    assert published(database).flags[FLAG].rollout is None
    assert read(database).revision == published(database).revision == before + 1


def test_a_rollback_is_sticky(database):
    a_live_rollout(database)
    commands.rollback(database, ROLLOUT, order())
    for act in (commands.resume, commands.promote, commands.pause):
        with pytest.raises(WrongPhase):
            act(database, ROLLOUT, order())
    with pytest.raises(WrongPhase):
        starting.start(database, ROLLOUT, order())
    with pytest.raises(AlreadyExists):
        commands.apply(database, manifest(note="again"), order())
    a_flag(database, "other")
    with pytest.raises(AlreadyExists):
        commands.apply(database, manifest(flag="other"), order())


def test_promotion_serves_the_canary_to_everybody_in_the_same_revision_that_ends_the_rollout(database):
    a_live_rollout(database)
    commands.promote(database, ROLLOUT, order())
    flag = published(database).flags[FLAG]
    assert (flag.served, flag.rollout) == ("unified", None)
    with database.read() as connection:
        assert flags.get(connection, FLAG).version == 2


def test_the_served_variant_cannot_be_changed_under_a_live_rollout_but_the_kill_switch_works(database):
    a_live_rollout(database)
    with pytest.raises(Conflict):
        flag_commands.change(database, FLAG, 1, FlagChange(served="unified"), actor="ann", now_ms=T0)
    flag_commands.change(database, FLAG, 1, FlagChange(enabled=False), actor="ann", now_ms=T0, reason="stop")
    assert published(database).flags[FLAG].enabled is False


def test_revisions_grow_by_one_with_each_answer_that_changes(database):
    a_live_rollout(database)
    first = published(database).revision
    commands.pause(database, ROLLOUT, order())
    assert published(database).revision == first
    commands.resume(database, ROLLOUT, order())
    commands.rollback(database, ROLLOUT, order())
    assert published(database).revision == first + 1
