"""A stage that needs a person's agreement: asked for once, given by somebody else, or too late."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from controller.domain.errors import Conflict, NeedsApproval, OwnApproval, WrongPhase
from controller.domain.rollouts import Action, Phase
from controller.storage import quarantines, rounds
from controller.storage.tables import outbox
from controller.usecases import rollouts as commands
from tests.builders import ROLLOUT, T0, a_lease, a_live_rollout, an_instance, judged, last_decision, order, read, report

HOUR_MS = 3_600_000
#: The first stage is proven and baked by then.
PROVEN = T0 + 20_000


def stages(approval="required"):
    return [
        {"share": "10%", "bake": "10s"},
        {"share": "50%", "bake": "10s", "approval": approval},
        {"share": "100%", "bake": "10s"},
    ]


def proven(database, approval="required"):
    """A rollout whose first stage has nothing left to prove."""
    rollout, lease = a_live_rollout(database, stages=stages(approval)), a_lease(database)
    report(database, rollout, delivered=400)
    return lease


def seen(database, lease, now_ms):
    """What the judge says while the canary goes on delivering."""
    report(database, read(database), delivered=5)
    return judged(database, lease, now_ms)


def notices(database, kind):
    with database.read() as connection:
        return connection.execute(select(func.count()).where(outbox.c.kind == kind)).scalar_one()


def test_an_approval_is_asked_for_when_the_stage_before_it_is_proven_and_baked(database):
    lease = proven(database)
    assert seen(database, lease, T0 + 5_000).action is Action.HOLD
    asked = seen(database, lease, PROVEN)
    assert asked.action is Action.ASK
    assert asked.message.startswith("every guard is proven")
    assert "; the next stage needs an approval" in asked.message
    found = read(database)
    assert (found.phase, found.weight, found.approval_asked_ms) == (Phase.PROGRESSING, 1_000, PROVEN)


def test_it_is_asked_for_once(database):
    lease = proven(database)
    seen(database, lease, PROVEN)
    for later in (10_000, 20_000, HOUR_MS):
        again = seen(database, lease, PROVEN + later)
        assert again.action is Action.HOLD
        assert again.message.startswith("proven; the next stage waits for an approval")
    assert notices(database, "rollout.ask") == 1


def test_an_approval_that_is_given_lets_the_stage_begin(database):
    lease = proven(database)
    seen(database, lease, PROVEN)
    assert commands.approve(database, ROLLOUT, order(PROVEN + 5_000, actor="bob")).approved == 1
    assert seen(database, lease, PROVEN + 10_000).action is Action.ADVANCE
    found = read(database)
    assert (found.weight, found.stage, found.approved, found.approval_asked_ms) == (5_000, 1, None, None)


def test_an_approval_may_be_given_before_it_is_asked_for(database):
    lease = proven(database)
    commands.approve(database, ROLLOUT, order(T0 + 1_000, actor="bob"))
    assert seen(database, lease, T0 + 5_000).action is Action.HOLD
    assert seen(database, lease, PROVEN).action is Action.ADVANCE


def test_whoever_started_the_rollout_cannot_approve_its_stages(database):
    proven(database)
    with pytest.raises(OwnApproval, match="ann started this rollout; somebody else has to approve it"):
        commands.approve(database, ROLLOUT, order(actor="ann"))
    assert read(database).approved is None


def test_a_stage_that_asks_for_nothing_is_not_approved(database):
    a_live_rollout(database)
    with pytest.raises(Conflict, match="asks for no approval"):
        commands.approve(database, ROLLOUT, order(actor="bob"))
    commands.rollback(database, ROLLOUT, order())
    with pytest.raises(WrongPhase):
        commands.approve(database, ROLLOUT, order(actor="bob"))


def test_nobody_advances_past_an_approval_by_hand(database):
    proven(database)
    with pytest.raises(NeedsApproval, match="the stage with 50% needs an approval"):
        commands.advance(database, ROLLOUT, order(force=True, reason="hurry"))
    commands.approve(database, ROLLOUT, order(actor="bob"))
    assert commands.advance(database, ROLLOUT, order()).weight == 5_000


def test_bad_news_does_not_wait_for_anybody(database):
    lease = proven(database)
    seen(database, lease, PROVEN)
    report(database, read(database), failed=40)
    assert judged(database, lease, PROVEN + 10_000).action is Action.ROLLBACK


@pytest.mark.parametrize(
    ("otherwise", "action", "phase", "weight"),
    [
        ("pause", Action.PAUSE, Phase.PAUSED, 1_000),
        ("rollback", Action.ROLLBACK, Phase.ROLLING_BACK, 0),
        ("advance", Action.ADVANCE, Phase.PROGRESSING, 5_000),
    ],
)
def test_what_becomes_of_an_approval_that_comes_too_late_is_the_plans_to_say(
    database, otherwise, action, phase, weight
):
    lease = proven(database, {"within": "1h", "otherwise": otherwise})
    seen(database, lease, PROVEN)
    assert seen(database, lease, PROVEN + HOUR_MS - 1).action is Action.HOLD
    late = seen(database, lease, PROVEN + HOUR_MS)
    assert late.action is action
    assert "no approval came in time" in late.message
    found = read(database)
    assert (found.phase, found.weight) == (phase, weight)
    assert last_decision(database)["message"] == late.message


def test_a_rollout_that_paused_for_want_of_an_approval_asks_again_when_it_is_resumed(database):
    lease = proven(database, {"within": "1h"})
    seen(database, lease, PROVEN)
    seen(database, lease, PROVEN + HOUR_MS)
    commands.resume(database, ROLLOUT, order(PROVEN + 3 * HOUR_MS))
    assert seen(database, lease, PROVEN + 3 * HOUR_MS + 10_000).action is Action.ASK
    assert read(database).approval_asked_ms == PROVEN + 3 * HOUR_MS + 10_000


def test_a_late_approval_is_good_enough_for_a_person_who_resumes(database):
    lease = proven(database, {"within": "1h"})
    seen(database, lease, PROVEN)
    seen(database, lease, PROVEN + HOUR_MS)
    commands.approve(database, ROLLOUT, order(PROVEN + 2 * HOUR_MS, actor="bob"))
    commands.resume(database, ROLLOUT, order(PROVEN + 2 * HOUR_MS))
    assert seen(database, lease, PROVEN + 2 * HOUR_MS + 10_000).action is Action.ADVANCE


def test_without_traffic_nothing_happens_for_want_of_an_approval(database):
    lease = proven(database, {"within": "1h", "otherwise": "advance"})
    seen(database, lease, PROVEN)
    silent = judged(database, lease, PROVEN + HOUR_MS)
    assert silent.action is Action.HOLD
    assert silent.message.startswith("no canary outcomes since")


def test_a_rollback_for_want_of_an_approval_blames_no_version(database):
    an_instance(database, "chat-a", PROVEN + HOUR_MS, revision=99, app_version="7")
    lease = proven(database, {"within": "1h", "otherwise": "rollback"})
    seen(database, lease, PROVEN)
    seen(database, lease, PROVEN + HOUR_MS)
    with database.read() as connection:
        last = rounds.latest(connection, ROLLOUT)
        assert quarantines.every(connection) == []
    assert last is not None
    assert (last.ended_by, last.shared) == ("clock", False)


@pytest.mark.parametrize(
    ("way", "refused"),
    [
        (lambda database, given: commands.promote(database, ROLLOUT, given), True),
        (lambda database, given: commands.set_share(database, ROLLOUT, 5_000, given), True),
        (lambda database, given: commands.set_share(database, ROLLOUT, 8_000, given), True),
        (lambda database, given: commands.set_share(database, ROLLOUT, 4_900, given), False),
        (lambda database, given: commands.set_share(database, ROLLOUT, 500, given), False),
    ],
)
def test_nobody_gets_past_a_stage_that_needs_an_approval_by_going_around_it(database, way, refused):
    proven(database)
    given = order(PROVEN, force=True, reason="I am in a hurry")
    if not refused:
        way(database, given)
        return
    with pytest.raises(NeedsApproval, match="the stage with 50% needs an approval"):
        way(database, given)
    commands.approve(database, ROLLOUT, order(PROVEN, actor="bob"))
    way(database, given)


def test_a_default_takes_effect_although_nothing_is_heard_any_more(database):
    lease = proven(database, {"within": "1h", "otherwise": "pause"})
    seen(database, lease, PROVEN)
    held = judged(database, lease, PROVEN + HOUR_MS)
    assert held.action is Action.PAUSE
    assert "approval" in held.message
