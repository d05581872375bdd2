"""Freeze windows: nothing starts or grows in one, and a rollback always works."""

import pytest

from controller.domain.durations import moment_text
from controller.domain.errors import ChangedMeanwhile, Conflict, Frozen, Invalid, OutOfScope
from controller.domain.freezes import Entering, Freeze, Window
from controller.domain.rollouts import Action, Phase
from controller.domain.scopes import EVERYWHERE, Scope
from controller.storage.database import Database
from controller.usecases import freezes, rollouts, starting
from controller.usecases.freezes import FreezeChange
from controller.usecases.measuring import measure
from controller.usecases.replay import replay
from controller.usecases.views.freezes import freeze_page, freeze_view
from controller.usecases.views.handover import handover_view
from controller.usecases.views.history import ledger_view
from controller.usecases.views.rollouts import rollout_view
from tests.builders import FLAG, ROLLOUT, T0, a_draft, a_lease, a_live_rollout, judged, order, read, report

DAY, HOUR = 86_400_000, 3_600_000


def a_freeze(
    database: Database, until_ms: int = T0 + DAY, entering: Entering = Entering.HOLD, scope: Scope = EVERYWHERE
) -> Freeze:
    freeze = Freeze("year-end", "people are away", scope, entering, Window(T0, until_ms))
    return freezes.add(database, freeze, order(T0))


def test_nothing_is_started_in_a_freeze_and_everything_after_it(database: Database) -> None:
    a_draft(database)
    a_freeze(database)
    with pytest.raises(Frozen, match="freeze 'year-end' until 2023-11-15 22:13:20 UTC: people are away"):
        starting.start(database, ROLLOUT, order(T0 + DAY - 1))
    assert starting.start(database, ROLLOUT, order(T0 + DAY))[0].phase is Phase.PROGRESSING


def test_people_hold_too_unless_they_force_it_with_a_reason(database: Database) -> None:
    a_live_rollout(database)
    a_freeze(database)
    attempts = (rollouts.advance, rollouts.promote, lambda d, k, o: rollouts.set_share(d, k, 9_000, o))
    for attempt in attempts:
        with pytest.raises(Frozen):
            attempt(database, ROLLOUT, order(T0 + 1))
        with pytest.raises(Invalid) as refused:
            attempt(database, ROLLOUT, order(T0 + 1, force=True))
        assert refused.value.field == "reason"
    assert rollouts.advance(database, ROLLOUT, order(T0 + 1, force=True, reason="the fix itself")).stage == 1


def test_what_takes_the_canary_away_works_in_a_freeze(database: Database) -> None:
    a_live_rollout(database)
    a_freeze(database)
    assert rollouts.set_share(database, ROLLOUT, 500, order(T0 + 1)).weight == 500
    assert rollouts.pause(database, ROLLOUT, order(T0 + 2)).phase is Phase.PAUSED
    assert rollouts.rollback(database, ROLLOUT, order(T0 + 3)).phase is Phase.ROLLING_BACK


def test_the_judge_holds_a_proven_stage_says_why_and_goes_on_by_itself(database: Database) -> None:
    rollout = a_live_rollout(database, T0 - HOUR)
    lease = a_lease(database, now_ms=T0)
    for arm in ("canary", "control"):
        report(database, rollout, delivered=3_000, arm=arm)
    a_freeze(database, T0 + HOUR)
    found = judged(database, lease, T0 + 1_000)
    assert found.action is Action.HOLD
    assert "proven; held by freeze 'year-end' until " in found.message
    with database.read() as connection:
        assert "people are away" in rollout_view(connection, read(database), T0 + 1_000).frozen
        [told] = handover_view(connection, T0 + 1_000).rollouts
    assert "freeze 'year-end'" in told.holds
    assert told.next == f"50% at {moment_text(T0 + HOUR)} at the earliest, once it is proven"
    report(database, rollout, delivered=5)
    lease = a_lease(database, now_ms=T0 + HOUR)
    assert judged(database, lease, T0 + HOUR).action is Action.ADVANCE


def test_the_judge_rolls_back_in_a_freeze(database: Database) -> None:
    rollout = a_live_rollout(database)
    a_freeze(database, entering=Entering.RAMP_DOWN)
    report(database, rollout, failed=40)
    assert judged(database, a_lease(database), T0 + 1_000).action is Action.ROLLBACK


def test_one_that_ramps_down_goes_back_to_the_first_share_once_and_replays_exactly(database: Database) -> None:
    a_live_rollout(database)
    rollouts.advance(database, ROLLOUT, order(T0 + 1))
    a_freeze(database, entering=Entering.RAMP_DOWN)
    lease = a_lease(database)
    found = judged(database, lease, T0 + 2_000)
    assert (found.action, read(database).weight, read(database).stage) == (Action.RAMP_DOWN, 1_000, 0)
    assert found.message.startswith("back to the first stage's share for freeze 'year-end'")
    assert judged(database, lease, T0 + 3_000).action is Action.HOLD
    with database.read() as connection:
        ledger = ledger_view(connection, read(database), 0, 100)
    replayed = list(replay(ledger.rounds, ledger.slots))
    assert [(one.action, one.differs) for one in replayed] == [("ramp_down", ()), ("hold", ())]


def test_measuring_does_not_become_a_start_in_a_freeze(database: Database) -> None:
    a_draft(database, measure="1m")
    starting.start(database, ROLLOUT, order(T0))
    a_freeze(database)
    for now_ms, phase in ((T0 + HOUR, Phase.MEASURING), (T0 + DAY, Phase.PROGRESSING)):
        found = measure(database, ROLLOUT, a_lease(database, now_ms=now_ms), now_ms)
        assert found is not None
        assert found.phase is phase


def test_a_freeze_holds_the_flags_of_its_scope_alone(database: Database) -> None:
    a_live_rollout(database)
    a_freeze(database, scope=Scope(("other*",)))
    assert rollouts.advance(database, ROLLOUT, order(T0 + 1)).stage == 1


def test_a_recurring_freeze_is_on_each_time(database: Database) -> None:
    friday = 1_700_000_000_000  # 2023-11-14 22:13 UTC, a Tuesday
    weekend = Freeze("weekend", "nobody is here", cron="0 16 * * FRI", lasts_ms=64 * HOUR, zone="Europe/Berlin")
    freezes.add(database, weekend, order(friday))
    with database.read() as connection:
        view = freeze_view(connection, "weekend", friday)
        begins = view.next_ms
        assert (view.active_until_ms, view.when) == (None, "64h from each '0 16 * * FRI' (Europe/Berlin)")
        assert begins == 1_700_233_200_000  # Friday, 16:00 in Berlin
        for at_ms, until in ((begins, begins + 64 * HOUR), (begins + 64 * HOUR - 1, begins + 64 * HOUR)):
            assert freeze_view(connection, "weekend", at_ms).active_until_ms == until
        assert freeze_view(connection, "weekend", begins + 64 * HOUR).active_until_ms is None


def test_freezes_are_changed_and_removed_at_the_version_they_were_read_at(database: Database) -> None:
    a_freeze(database)
    longer = freezes.change(database, "year-end", FreezeChange(ends_ms=T0 + 2 * DAY), order(T0 + 1, version=1))
    assert (longer.version, longer.window) == (2, Window(T0, T0 + 2 * DAY))
    with pytest.raises(ChangedMeanwhile):
        freezes.remove(database, "year-end", order(T0 + 2, version=1))
    freezes.remove(database, "year-end", order(T0 + 2, version=2))
    with database.read() as connection:
        assert freeze_page(connection, T0 + 3).items == []


def test_nobody_holds_flags_that_are_not_theirs(database: Database) -> None:
    mine = order(T0, scope=Scope(("chat.*",)))
    with pytest.raises(OutOfScope):
        freezes.add(database, Freeze("all", "why", window=Window(T0, T0 + DAY)), mine)
    freezes.add(database, Freeze("ours", "why", Scope(("chat.a",)), window=Window(T0, T0 + DAY)), mine)
    a_freeze(database)
    with pytest.raises(OutOfScope):
        freezes.remove(database, "year-end", mine)


def test_what_is_over_or_never_comes_is_refused_by_field(database: Database) -> None:
    with pytest.raises(Invalid) as over:
        freezes.add(database, Freeze("f", "why", window=Window(T0 - DAY, T0)), order(T0))
    with pytest.raises(Invalid) as never:
        freezes.add(database, Freeze("f", "why", cron="0 0 30 2 *", lasts_ms=HOUR), order(T0))
    assert (over.value.field, never.value.field) == ("until_ms", "cron")


def test_whoever_may_not_change_the_flag_may_not_act_on_its_rollout(database: Database) -> None:
    a_live_rollout(database)
    theirs = order(T0 + 1, scope=Scope(("chat.*",)))
    for act in (rollouts.pause, rollouts.rollback, rollouts.advance, rollouts.promote, starting.start):
        with pytest.raises(OutOfScope, match=FLAG):
            act(database, ROLLOUT, theirs)
    assert rollouts.pause(database, ROLLOUT, order(T0 + 1, scope=Scope(("unified*",)))).phase is Phase.PAUSED


def test_there_is_a_bound_to_freezes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezes, "_MOST", 1)
    a_freeze(database)
    with pytest.raises(Conflict, match="remove those that are over"):
        freezes.add(database, Freeze("second", "why", window=Window(T0, T0 + DAY)), order(T0))
