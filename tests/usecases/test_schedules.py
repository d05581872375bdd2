"""Planned changes: planned, cancelled, and done exactly once each time, whatever dies in between."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import func, select

from controller.domain.errors import Conflict, Invalid, OutOfScope, StaleTerm, Unavailable, UnknownFlag
from controller.domain.orders import Order
from controller.domain.rollouts import Phase
from controller.domain.schedules import GRACE_MS, Planned, Schedule, ScheduleState
from controller.domain.scopes import Scope
from controller.scheduler.leadership import Leadership
from controller.scheduler.planner import Planner, act
from controller.storage import flags as flag_rows
from controller.storage import leases
from controller.storage import schedules as rows
from controller.storage.database import Database
from controller.storage.tables import audit, outbox
from controller.telemetry import Metrics
from controller.usecases import rollouts, schedules
from controller.usecases.views.schedules import schedule_view, upcoming
from tests.builders import FLAG, ROLLOUT, T0, a_draft, a_flag, a_lease, a_live_rollout, order, published, read
from tests.clocks import FakeClock

HOUR = 3_600_000


def a_plan(database: Database, action: Planned, subject: str = FLAG, value: str = "", **more: object) -> Schedule:
    fields = {"next_ms": T0 + HOUR, **more}
    return schedules.plan(database, Schedule(0, action, subject, value, **fields), order(T0))  # type: ignore[arg-type]


def stored(database: Database, number: int) -> Schedule:
    with database.read() as connection:
        return rows.get(connection, number)


def run(database: Database, number: int, now_ms: int, holder: str = "one") -> str:
    found = schedules.execute(database, number, a_lease(database, holder, now_ms), now_ms, act)
    return "" if found is None else f"{found.outcome.value}: {found.message}"


def enabled(database: Database) -> bool:
    with database.read() as connection:
        return flag_rows.get(connection, FLAG).enabled


def test_a_flag_is_changed_at_its_time_and_not_before(database: Database) -> None:
    a_flag(database)
    made = a_plan(database, Planned.DISABLE)
    assert run(database, made.id, T0 + HOUR - 1) == ""
    assert enabled(database)
    assert run(database, made.id, T0 + HOUR) == "done: killed: serves legacy"
    assert not enabled(database)
    assert not published(database).flags[FLAG].enabled
    assert (stored(database, made.id).state, stored(database, made.id).next_ms) == (ScheduleState.DONE, None)
    assert run(database, made.id, T0 + HOUR) == ""


def test_what_is_done_is_done_in_the_name_of_whoever_planned_it(database: Database) -> None:
    a_draft(database)
    made = a_plan(database, Planned.START, ROLLOUT)
    run(database, made.id, T0 + HOUR)
    assert (read(database).phase, read(database).started_by) == (Phase.PROGRESSING, "ann")
    with database.read() as connection:
        entries = connection.execute(select(audit.c.action, audit.c.actor, audit.c.reason, audit.c.request_id)).all()
    told = {entry.action: entry for entry in entries}
    assert told["rollout.start"][1:] == ("ann", f"planned as schedule {made.id}", f"schedule-{made.id}")
    assert {"schedule.planned", "schedule.done"} <= told.keys()


def test_a_share_and_a_variant_can_be_planned(database: Database) -> None:
    a_live_rollout(database)
    share = a_plan(database, Planned.SET_SHARE, ROLLOUT, "25%")
    assert run(database, share.id, T0 + HOUR) == "done: share set to 25%"
    assert read(database).weight == 2_500
    serve = a_plan(database, Planned.SERVE, FLAG, "unified")
    assert run(database, serve.id, T0 + HOUR).startswith("refused: served: rollout 'unified-emitter' of this flag is")


def test_what_is_refused_is_noted_told_and_changes_nothing(database: Database) -> None:
    a_draft(database)
    made = a_plan(database, Planned.SET_SHARE, ROLLOUT, "25%")
    assert run(database, made.id, T0 + HOUR).startswith("refused: cannot set_share a rollout that is draft")
    assert stored(database, made.id).state is ScheduleState.REFUSED
    with database.read() as connection:
        kinds = connection.execute(select(outbox.c.kind)).scalars().all()
    assert kinds[-1] == "schedule.refused"


def test_a_refused_change_leaves_nothing_half_done(database: Database) -> None:
    a_flag(database)
    made = a_plan(database, Planned.DISABLE)

    def half(inner: Database, _schedule: Schedule, given: Order) -> str:
        act(inner, made, given)
        raise Conflict("on second thoughts")

    found = schedules.execute(database, made.id, a_lease(database, now_ms=T0 + HOUR), T0 + HOUR, half)
    assert found is not None
    assert found.outcome is ScheduleState.REFUSED
    assert enabled(database)


@pytest.mark.parametrize("failure", [Unavailable("the disk is full"), RuntimeError("a bug")])
def test_where_the_process_dies_in_between_neither_is_done_and_it_is_tried_again(
    database: Database, failure: Exception
) -> None:
    a_flag(database)
    made = a_plan(database, Planned.DISABLE)

    def dies(inner: Database, schedule: Schedule, given: Order) -> str:
        act(inner, schedule, given)
        raise failure

    with pytest.raises(type(failure)):
        schedules.execute(database, made.id, a_lease(database, now_ms=T0 + HOUR), T0 + HOUR, dies)
    assert enabled(database)
    assert run(database, made.id, T0 + HOUR + 1) == "done: killed: serves legacy"


def test_of_many_at_once_one_does_it(database: Database) -> None:
    a_flag(database)
    made, lease = a_plan(database, Planned.DISABLE), a_lease(database, now_ms=T0 + HOUR)

    def attempt(_: int) -> bool:
        try:
            return schedules.execute(database, made.id, lease, T0 + HOUR, act) is not None
        except Conflict:  # the row settles it
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(6))) == 1
    with database.read() as connection:
        done = select(func.count()).select_from(audit).where(audit.c.action.in_(["flag.killed", "schedule.done"]))
        assert connection.execute(done).scalar_one() == 2


def test_whoever_has_lost_the_lease_does_nothing(database: Database) -> None:
    a_flag(database)
    made, stale = a_plan(database, Planned.DISABLE), a_lease(database, "one", T0)
    with database.write() as connection:
        leases.release(connection, "one")
    a_lease(database, "two", T0 + HOUR)
    with pytest.raises(StaleTerm):
        schedules.execute(database, made.id, stale, T0 + HOUR, act)
    assert enabled(database)


def test_one_that_recurs_is_done_each_time_and_not_twice_after_a_pause(database: Database) -> None:
    a_flag(database)
    made = a_plan(database, Planned.DISABLE, next_ms=None, cron="0 * * * *")
    first = made.next_ms
    assert first is not None
    assert run(database, made.id, first).startswith("done")
    assert stored(database, made.id).next_ms == first + HOUR
    assert run(database, made.id, first + 4 * HOUR + 1).startswith("done")  # the latest time, not each of the four
    assert stored(database, made.id).next_ms == first + 5 * HOUR
    assert run(database, made.id, first + 5 * HOUR + HOUR // 2).startswith("missed: nobody could do it for 30m")
    with database.read() as connection:
        view = schedule_view(connection, made.id)
        assert [one.outcome for one in view.runs] == ["missed", "done", "done"]
        assert [one.id for one in upcoming(connection, subjects=(FLAG,))] == [made.id]


def test_one_whose_time_is_long_past_is_missed_and_not_done(database: Database) -> None:
    a_flag(database)
    late, missed = a_plan(database, Planned.DISABLE), a_plan(database, Planned.DISABLE)
    assert run(database, late.id, T0 + HOUR + GRACE_MS).startswith("done")
    assert run(database, missed.id, T0 + HOUR + GRACE_MS + 1).startswith("missed")


def test_a_cancelled_one_is_never_done(database: Database) -> None:
    a_flag(database)
    made = a_plan(database, Planned.DISABLE)
    assert schedules.cancel(database, made.id, order(T0)).state is ScheduleState.CANCELLED
    assert run(database, made.id, T0 + HOUR) == ""
    with pytest.raises(Conflict, match="is cancelled already"):
        schedules.cancel(database, made.id, order(T0))


@pytest.mark.parametrize(
    ("action", "value", "more", "field"),
    [
        (Planned.DISABLE, "", {"next_ms": T0}, "at_ms"),
        (Planned.DISABLE, "", {"next_ms": None}, "at_ms"),
        (Planned.DISABLE, "", {"cron": "0 * * * *"}, "at_ms"),
        (Planned.DISABLE, "", {"next_ms": T0 + 500 * 86_400_000}, "at_ms"),
        (Planned.DISABLE, "", {"next_ms": None, "cron": "0 * * *"}, "cron"),
        (Planned.DISABLE, "", {"next_ms": None, "cron": "0 * * * *", "zone": "Mars"}, "zone"),
        (Planned.DISABLE, "x", {}, "value"),
        (Planned.SERVE, "", {}, "value"),
        (Planned.SERVE, "unheard-of", {}, "value"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_field(
    sqlite_database: Database, action: Planned, value: str, more: dict[str, object], field: str
) -> None:
    a_flag(sqlite_database)
    with pytest.raises(Invalid) as refused:
        a_plan(sqlite_database, action, value=value, **more)
    assert refused.value.field == field


def test_only_what_there_is_and_what_is_ones_own_can_be_planned(database: Database) -> None:
    with pytest.raises(UnknownFlag):
        a_plan(database, Planned.DISABLE)
    a_flag(database)
    made = a_plan(database, Planned.DISABLE)
    theirs = order(T0, scope=Scope(("chat.*",)))
    with pytest.raises(OutOfScope):
        schedules.plan(database, Schedule(0, Planned.ENABLE, FLAG, "", T0 + HOUR), theirs)
    with pytest.raises(OutOfScope):
        schedules.cancel(database, made.id, theirs)


def test_a_planned_start_is_held_by_a_freeze_like_any_other(database: Database) -> None:
    from controller.domain.freezes import Freeze, Window  # noqa: PLC0415 - this test alone
    from controller.usecases import freezes  # noqa: PLC0415

    a_draft(database)
    made = a_plan(database, Planned.START, ROLLOUT)
    freezes.add(database, Freeze("f", "why", window=Window(T0, T0 + 2 * HOUR)), order(T0))
    assert run(database, made.id, T0 + HOUR).startswith("refused: force: freeze 'f' until")
    assert read(database).phase is Phase.DRAFT
    rollouts.abort(database, ROLLOUT, order(T0 + HOUR))


def test_the_scheduler_does_what_is_due_while_it_holds_the_lease(database: Database, clock: FakeClock) -> None:
    a_flag(database, now_ms=clock())
    leadership, woken = Leadership(database, clock, "one"), []
    planner = Planner(database, clock, leadership, Metrics(CollectorRegistry()), lambda: woken.append(1))
    schedules.plan(database, Schedule(0, Planned.DISABLE, FLAG, "", clock() + HOUR), order(clock()))
    clock.advance(HOUR)
    planner.run_due()
    assert (enabled(database), woken) == (True, [])
    leadership.renew()
    planner.run_due()
    planner.run_due()
    assert (enabled(database), woken) == (False, [1])
    leadership.release()
