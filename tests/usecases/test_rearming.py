"""Trying again after a rollback: a new round for the same users, not at once, and not with a version that failed."""

from __future__ import annotations

import pytest

from controller.domain.errors import CoolingDown, NotFound, Quarantined, WrongPhase
from controller.domain.evaluation import evaluate as answer
from controller.domain.rollouts import Action, Phase
from controller.storage import quarantines, rollouts, rounds
from controller.usecases import rollouts as commands
from controller.usecases import starting
from controller.usecases.verification import check_rollback
from tests.builders import (
    FLAG,
    ROLLOUT,
    T0,
    a_lease,
    a_live_rollout,
    an_instance,
    judged,
    last_decision,
    manifest,
    order,
    published,
    read,
    report,
)

COOL_MS = 600_000
#: The first round's rollback was decided and verified then.
OVER = T0 + 1_000
AGAIN = OVER + COOL_MS


def rolled_back(database, *, instances=(("chat-a", "7"),), **changes):
    """A rollout that the judge has rolled back, and the leader lease; the instances run these versions."""
    rollout, lease = a_live_rollout(database, **changes), a_lease(database)
    for name, version in instances:
        an_instance(database, name, AGAIN, revision=99, app_version=version)
        report(database, rollout, failed=2, instance=name, users=(f"{len(name):08x}", "0000000a", "0000000b"))
    report(database, rollout, failed=2)
    assert judged(database, lease, OVER).action is Action.ROLLBACK
    check_rollback(database, ROLLOUT, lease, OVER)
    assert read(database).phase is Phase.ROLLED_BACK
    return lease


def re_armed(database, *lifted, at_ms=AGAIN, **fields):
    return commands.re_arm(database, ROLLOUT, lifted, order(at_ms, **fields))


def held(database):
    with database.read() as connection:
        return [one.app_version for one in quarantines.every(connection, FLAG)]


def test_a_rollback_is_sticky_until_a_person_arms_it_again(database):
    rolled_back(database)
    with pytest.raises(WrongPhase, match="possible now: re_arm"):
        starting.start(database, ROLLOUT, order(AGAIN))
    draft, _ = re_armed(database, "7", reason="fixed the buffer")
    assert (draft.phase, draft.weight, draft.constants, draft.versions) == (Phase.DRAFT, 0, None, ())
    assert (draft.decided_ms, draft.verified_ms, draft.ended_ms) == (None, None, None)
    assert published(database).flags[FLAG].rollout is None
    with database.read() as connection:
        assert rollouts.verification(connection, ROLLOUT) is None
    said = last_decision(database)
    assert said["message"] == "armed again by ann: fixed the buffer; quarantine lifted of 7"


def test_the_same_users_see_the_canary_in_the_next_round(database):
    rollout = a_live_rollout(database)
    flag = published(database).flags[FLAG]
    first = {user for user in range(500) if answer(flag, f"user-{user}").variant == "unified"}
    commands.rollback(database, ROLLOUT, order(OVER))
    check_rollback(database, ROLLOUT, a_lease(database), OVER)
    re_armed(database)
    started, _ = starting.start(database, ROLLOUT, order(AGAIN))
    assert (started.salt, started.round, started.epoch > rollout.epoch) == (rollout.salt, 2, True)
    flag = published(database).flags[FLAG]
    assert {user for user in range(500) if answer(flag, f"user-{user}").variant == "unified"} == first


def test_a_rollout_cools_down_before_it_is_started_again(database):
    rolled_back(database)
    re_armed(database, "7", at_ms=OVER + 1_000)
    with pytest.raises(CoolingDown, match=r"it can be started in 599s \(from 22:23:21 UTC on\)"):
        starting.start(database, ROLLOUT, order(OVER + 1_000))
    with pytest.raises(CoolingDown):
        starting.start(database, ROLLOUT, order(AGAIN - 1))
    assert starting.start(database, ROLLOUT, order(AGAIN))[0].phase is Phase.PROGRESSING


def test_a_rollout_without_a_cool_down_starts_at_once(database):
    rolled_back(database, cool_down="0s")
    re_armed(database, "7", at_ms=OVER)
    assert starting.start(database, ROLLOUT, order(OVER))[0].round == 2


def test_a_version_that_failed_is_quarantined_and_its_clients_are_told(database):
    rolled_back(database)
    assert held(database) == ["7"]
    an_instance(database, "chat-b", AGAIN, app_version="8")
    _, left = re_armed(database)
    assert left == ["7"]
    starting.start(database, ROLLOUT, order(AGAIN))
    assert published(database).flags[FLAG].rollout.quarantined == ("7",)


def test_nothing_starts_where_every_instance_runs_a_version_that_failed(database):
    rolled_back(database)
    re_armed(database)
    with pytest.raises(Quarantined, match=r"all live instances run 7, which failed in unified-emitter \(round 1\)"):
        starting.start(database, ROLLOUT, order(AGAIN))
    assert read(database).phase is Phase.DRAFT
    an_instance(database, "chat-b", AGAIN, app_version="8")
    assert starting.start(database, ROLLOUT, order(AGAIN))[0].versions == ("7", "8")


def test_a_quarantine_ends_when_a_person_lifts_it(database):
    rolled_back(database)
    _, left = re_armed(database, "7")
    assert (left, held(database)) == ([], [])
    assert starting.start(database, ROLLOUT, order(AGAIN))[0].phase is Phase.PROGRESSING


def test_what_is_not_in_quarantine_cannot_be_lifted(database):
    rolled_back(database)
    with pytest.raises(NotFound, match="9 is not in quarantine") as refused:
        re_armed(database, "7", "9")
    assert refused.value.field == "lift"
    assert (read(database).phase, held(database)) == (Phase.ROLLED_BACK, ["7"])


def test_only_the_version_that_failed_more_than_is_allowed_is_quarantined(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    an_instance(database, "old", T0, revision=99, app_version="6")
    an_instance(database, "new", T0, revision=99, app_version="7")
    report(database, rollout, delivered=99, failed=1, instance="old", users=("0000000f",))
    report(database, rollout, failed=40, delivered=10, instance="new")
    assert judged(database, lease, OVER).action is Action.ROLLBACK
    assert held(database) == ["7"]


def test_a_persons_rollback_blames_no_version(database):
    a_live_rollout(database)
    an_instance(database, "chat-a", T0, app_version="7")
    commands.rollback(database, ROLLOUT, order(OVER))
    assert held(database) == []


def test_a_rollback_for_what_the_control_shares_blames_no_version(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    an_instance(database, "chat-a", T0 + 400_000, revision=99, app_version="7")
    for arm in ("canary", "control"):
        report(database, rollout, failed=40, instance="chat-a", arm=arm)
    first = judged(database, lease, T0 + 10_000)
    assert first.action is Action.HOLD
    assert "the control is over its line too" in first.message
    assert judged(database, lease, T0 + 309_999).action is Action.HOLD
    assert judged(database, lease, T0 + 310_000).action is Action.ROLLBACK
    assert held(database) == []
    with database.read() as connection:
        last = rounds.latest(connection, ROLLOUT)
    assert last is not None
    assert last.shared


def test_the_second_round_ignores_outcomes_of_the_first(database):
    first, lease = a_live_rollout(database), a_lease(database)
    report(database, first, failed=4)
    judged(database, lease, OVER)
    check_rollback(database, ROLLOUT, lease, OVER)
    report(database, first, failed=30)  # while it is still being rolled back, or long after
    re_armed(database)
    starting.start(database, ROLLOUT, order(AGAIN))
    report(database, first, failed=30, delivered=1)
    assert judged(database, lease, AGAIN + 1_000).action is Action.HOLD
    second = read(database)
    report(database, first, delivered=900)  # nor does it prove anything
    assert judged(database, lease, AGAIN + 20_000).action is Action.HOLD
    report(database, second, failed=4)
    again = judged(database, lease, AGAIN + 30_000)
    assert again.action is Action.ROLLBACK
    assert "4 of the last 4 users failed" in again.message


def test_slots_go_on_where_the_first_round_ended_and_each_round_knows_its_first(database):
    lease = rolled_back(database)
    re_armed(database, "7")
    starting.start(database, ROLLOUT, order(AGAIN))
    judged(database, lease, AGAIN + 1_000)
    with database.read() as connection:
        known = rounds.of_rollout(connection, ROLLOUT)
        assert [(one.round, one.first_seq) for one in known] == [(1, 1), (2, 2)]
        assert [one.ended_as for one in known] == ["rolled_back", ""]
        assert rounds.last_seq(connection, ROLLOUT) == 2


def test_an_aborted_draft_is_armed_again_and_a_promoted_rollout_never_is(database):
    a_live_rollout(database, measure="1h")
    commands.abort(database, ROLLOUT, order(OVER))
    assert re_armed(database)[0].phase is Phase.DRAFT
    assert starting.start(database, ROLLOUT, order(OVER))[0].phase is Phase.MEASURING
    starting.start(database, ROLLOUT, order(OVER))
    commands.promote(database, ROLLOUT, order(OVER))
    with pytest.raises(WrongPhase, match="it is final"):
        re_armed(database)


def test_a_draft_that_was_armed_again_may_be_changed(database):
    rolled_back(database)
    re_armed(database, "7")
    changed = commands.apply(database, manifest(cool_down="1h", note="second try"), order(AGAIN))
    assert (changed.plan.note, changed.round, changed.cool_until_ms) == ("second try", 1, AGAIN)
