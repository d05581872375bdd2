"""The share moved by hand: a new epoch, and no more canary against the judge without force and a reason."""

from __future__ import annotations

import pytest

from controller.domain.errors import ChangedMeanwhile, GuardVeto, Invalid, WrongPhase
from controller.domain.judge.findings import Verdict
from controller.domain.rollouts import Action, Phase
from controller.usecases import rollouts as commands
from tests.builders import (
    FLAG,
    ROLLOUT,
    T0,
    a_draft,
    a_lease,
    a_live_rollout,
    judged,
    last_decision,
    order,
    published,
    read,
    report,
)


def convicted(database):
    """A rollout that its guard has paused: the judge speaks against it."""
    rollout, lease = a_live_rollout(database, guards=[{"action": "pause"}]), a_lease(database)
    report(database, rollout, failed=4)
    assert judged(database, lease, T0 + 1_000).verdict is Verdict.FAIL
    return lease


def test_a_share_set_by_hand_begins_a_new_epoch_and_is_told_to_clients(database):
    before = a_live_rollout(database)
    found = commands.set_share(database, ROLLOUT, 2_500, order(T0 + 5_000, reason="a big customer is away"))
    assert (found.weight, found.epoch, found.stage, found.stage_started_ms) == (2_500, before.epoch + 1, 0, T0 + 5_000)
    rollout = published(database).flags[FLAG].rollout
    assert (rollout.weight, rollout.epoch, rollout.salt) == (2_500, found.epoch, before.salt)
    said = last_decision(database)
    assert (said["actor"], said["action"]) == ("ann", "set_share")
    assert said["message"] == "share set from 10% to 25% by ann: a big customer is away"


def test_evidence_of_the_share_before_does_not_prove_the_new_one(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    report(database, rollout, delivered=400)
    commands.set_share(database, ROLLOUT, 2_500, order(T0 + 5_000))
    report(database, rollout, delivered=400)
    assert judged(database, lease, T0 + 20_000).verdict is Verdict.INCONCLUSIVE
    report(database, read(database), delivered=400)
    assert judged(database, lease, T0 + 30_000).action is Action.ADVANCE
    assert read(database).weight == 5_000


def test_failures_of_the_share_before_still_convict(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    commands.set_share(database, ROLLOUT, 2_500, order(T0 + 5_000))
    report(database, rollout, failed=4)
    assert judged(database, lease, T0 + 10_000).action is Action.ROLLBACK


def test_the_next_stage_is_the_first_with_a_larger_share(database):
    a_live_rollout(database)
    assert commands.set_share(database, ROLLOUT, 6_000, order()).next_stage == 2
    assert commands.advance(database, ROLLOUT, order()).weight == 10_000
    with pytest.raises(WrongPhase, match="last stage"):
        commands.advance(database, ROLLOUT, order())


def test_the_same_users_stay_on_the_canary_when_the_share_grows_and_shrinks(database):
    salts = {a_live_rollout(database).salt}
    for weight in (5_000, 100, 9_000):
        salts.add(commands.set_share(database, ROLLOUT, weight, order()).salt)
    assert len(salts) == 1


@pytest.mark.parametrize(("weight", "hint"), [(0, "roll back"), (9_501, "see holdback"), (10_000, "see holdback")])
def test_a_share_is_more_than_nothing_and_leaves_the_holdback(database, weight, hint):
    before = a_live_rollout(database, holdback="5%")
    with pytest.raises(Invalid, match="more than 0% and at most 95%") as refused:
        commands.set_share(database, ROLLOUT, weight, order())
    assert refused.value.field == "share"
    assert hint in refused.value.detail
    assert read(database).epoch == before.epoch
    assert commands.set_share(database, ROLLOUT, 9_500, order()).weight == 9_500


def test_the_last_stage_leaves_the_holdback_until_the_promotion(database):
    a_live_rollout(database, holdback="5%")
    for _ in range(2):
        commands.advance(database, ROLLOUT, order())
    assert read(database).weight == 9_500
    commands.promote(database, ROLLOUT, order())
    assert published(database).flags[FLAG].served == "unified"


def test_more_canary_against_the_judge_needs_force_and_a_reason(database):
    convicted(database)
    with pytest.raises(GuardVeto) as refused:
        commands.set_share(database, ROLLOUT, 5_000, order())
    assert "4 of the last 4 users failed" in refused.value.detail
    assert refused.value.field == "force"
    with pytest.raises(Invalid, match="needs a reason") as unexplained:
        commands.set_share(database, ROLLOUT, 5_000, order(force=True, reason="  "))
    assert unexplained.value.field == "reason"
    assert read(database).weight == 1_000
    found = commands.set_share(database, ROLLOUT, 5_000, order(force=True, reason="the probe was broken"))
    assert (found.weight, found.phase) == (5_000, Phase.PAUSED)
    assert last_decision(database)["message"].endswith("by ann: the probe was broken (forced)")


def test_less_canary_needs_nobodys_leave(database):
    convicted(database)
    assert commands.set_share(database, ROLLOUT, 100, order()).weight == 100


def test_promotion_by_hand_asks_the_judge_too(database):
    convicted(database)
    with pytest.raises(GuardVeto):
        commands.promote(database, ROLLOUT, order())
    with pytest.raises(Invalid):
        commands.promote(database, ROLLOUT, order(force=True))
    assert commands.promote(database, ROLLOUT, order(force=True, reason="known")).phase is Phase.PROMOTED


def test_advancing_by_hand_asks_the_judge_and_waits_for_neither_bake_nor_evidence(database):
    rollout, lease = a_live_rollout(database, mode="observe"), a_lease(database)
    assert commands.advance(database, ROLLOUT, order(T0 + 1)).weight == 5_000
    report(database, rollout, failed=4)
    judged(database, lease, T0 + 1_000)
    with pytest.raises(GuardVeto):
        commands.advance(database, ROLLOUT, order(T0 + 2_000))
    forced = commands.advance(database, ROLLOUT, order(T0 + 2_000, force=True, reason="known"))
    assert forced.weight == 10_000


def test_a_share_set_while_paused_stays_paused(database):
    a_live_rollout(database)
    commands.pause(database, ROLLOUT, order(T0 + 1_000))
    found = commands.set_share(database, ROLLOUT, 2_500, order(T0 + 50_000))
    assert (found.phase, found.stage_started_ms, found.paused_ms) == (Phase.PAUSED, T0 + 50_000, T0 + 50_000)
    resumed = commands.resume(database, ROLLOUT, order(T0 + 90_000))
    assert not resumed.baked(T0 + 99_999)
    assert resumed.baked(T0 + 100_000)


def test_a_share_is_set_at_the_version_it_was_read_at(database):
    started = a_live_rollout(database)
    commands.pause(database, ROLLOUT, order())
    with pytest.raises(ChangedMeanwhile):
        commands.set_share(database, ROLLOUT, 2_500, order(version=started.version))


def test_a_draft_has_no_share_to_set(database):
    a_draft(database)
    for act in (commands.advance, commands.approve, commands.promote):
        with pytest.raises(WrongPhase):
            act(database, ROLLOUT, order())
    with pytest.raises(WrongPhase, match="possible now: abort, start"):
        commands.set_share(database, ROLLOUT, 2_500, order())
