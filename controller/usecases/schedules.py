"""Changes that are planned for a time or a recurrence: planned, cancelled, and done once each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from controller import recurrence
from controller.domain.durations import duration_text, parts_of
from controller.domain.errors import ChangedMeanwhile, Conflict, Invalid, Refusal, StaleTerm, Unavailable
from controller.domain.leases import Lease
from controller.domain.orders import Order
from controller.domain.schedules import (
    GRACE_MS,
    Planned,
    Run,
    Schedule,
    ScheduleState,
    check_moment,
    check_open,
    is_late,
)
from controller.recurrence import BadRecurrenceError
from controller.storage import flags, leases, record, rollouts, schedules
from controller.storage.database import Database

#: Planned changes at a time.
_MOST = 500

#: Does a planned change inside the transaction of the database that it is given, and says what it came to.
Act = Callable[[Database, Schedule, Order], str]


def plan(database: Database, schedule: Schedule, order: Order) -> Schedule:
    """Plan a change: once at `next_ms`, or at each time of `cron`.

    Raises:
        UnknownFlag, UnknownRollout: what it is about does not exist. Invalid: a time that has passed, no such
        recurrence, variant or share. OutOfScope. Conflict: too much is planned.
    """
    schedule = replace(schedule, created_by=order.actor, created_ms=order.now_ms, reason=order.reason)
    schedule = replace(schedule, next_ms=_first(schedule, order.now_ms))
    with database.write() as connection:
        _check(connection, schedule, order)
        if schedules.count(connection) >= _MOST:
            raise Conflict(f"{_MOST} changes are planned already; cancel some", field="action")
        made = schedules.add(connection, schedule)
        _note(connection, None, made, "schedule.planned", order)
    return made


def cancel(database: Database, number: int, order: Order) -> Schedule:
    """Cancel a planned change; what it has done so far stays.

    Raises:
        NotFound, ChangedMeanwhile, OutOfScope; Conflict: it is over.
    """
    with database.write() as connection:
        before = schedules.get(connection, number)
        if order.version is not None and before.version != order.version:
            raise ChangedMeanwhile(f"schedule {number} is at version {before.version}", field="version")
        check_open(before)
        order.scope.check(_flag_key(connection, before))
        after = replace(before, state=ScheduleState.CANCELLED, next_ms=None, version=before.version + 1)
        schedules.change(connection, before, after)
        _note(connection, before, after, "schedule.cancelled", order)
    return after


def execute(database: Database, number: int, lease: Lease, now_ms: int, act: Act) -> Run | None:
    """Do a planned change whose time has come, under the leader lease; None where it is not due (any more).

    The change, the note that it was done and the next time are one transaction: it is done once, or, where the
    process dies, not yet. What is refused is noted as refused, and changes nothing.

    Raises:
        StaleTerm: somebody else evaluates by now. Unavailable: it is tried again.
    """
    with database.write() as connection:
        leases.check(connection, lease.holder, lease.term)
        before = schedules.get(connection, number)
        due_ms = _due(before, now_ms)
        if due_ms is None:
            return None
        outcome, message = _outcome(database, connection, before, due_ms, now_ms, act)
        run = Run(number, due_ms, now_ms, outcome, message)
        following = recurrence.next_after(before.cron, before.zone, now_ms) if before.cron else None
        state = outcome if following is None else ScheduleState.PLANNED
        after = replace(before, next_ms=following, state=state, version=before.version + 1)
        schedules.change(connection, before, after)
        schedules.keep_run(connection, run)
        order = Order(before.created_by, now_ms, message)
        _note(connection, before, after, f"schedule.{outcome.value}", order)
        if outcome is not ScheduleState.DONE:
            told = f"{before.words} was {outcome.value}: {message}"
            record.tell(
                connection, f"schedule.{outcome.value}", _subject(before), told, actor=before.created_by, at_ms=now_ms
            )
    return run


def _due(schedule: Schedule, now_ms: int) -> int | None:
    """The time that has come; of one that recurs the latest, however many have passed. None where it is not due."""
    first_ms = schedule.next_ms
    if schedule.state is not ScheduleState.PLANNED or first_ms is None or first_ms > now_ms:
        return None
    latest_ms = recurrence.last_until(schedule.cron, schedule.zone, now_ms) if schedule.cron else None
    return first_ms if latest_ms is None else max(first_ms, latest_ms)


def _outcome(
    database: Database, connection: Connection, schedule: Schedule, due_ms: int, now_ms: int, act: Act
) -> tuple[ScheduleState, str]:
    if is_late(due_ms, now_ms):
        late, most = duration_text((now_ms - due_ms) // 60_000 * 60_000), duration_text(GRACE_MS)
        return ScheduleState.MISSED, f"nobody could do it for {late}; it is not done more than {most} late"
    reason = f"planned as schedule {schedule.id}" + (f": {schedule.reason}" if schedule.reason else "")
    order = Order(schedule.created_by, now_ms, reason, request_id=f"schedule-{schedule.id}")
    try:
        with connection.begin_nested():  # what a refused change has written so far is undone
            return ScheduleState.DONE, act(database.within(connection), schedule, order)
    except (StaleTerm, Unavailable):
        raise
    except Refusal as refusal:
        return ScheduleState.REFUSED, str(refusal)


def _first(schedule: Schedule, now_ms: int) -> int | None:
    if (schedule.next_ms is None) == (not schedule.cron):
        raise Invalid("give either at_ms, or cron", field="at_ms")
    if schedule.next_ms is not None:
        check_moment(schedule.next_ms, now_ms)
        return schedule.next_ms
    try:
        recurrence.check(schedule.cron, schedule.zone, now_ms)
    except BadRecurrenceError as error:
        raise Invalid(str(error), field=error.field) from None
    return recurrence.next_after(schedule.cron, schedule.zone, now_ms)


def _check(connection: Connection, schedule: Schedule, order: Order) -> None:
    order.scope.check(_flag_key(connection, schedule))
    if schedule.action.takes_value != bool(schedule.value):
        needs = "say to what" if schedule.action.takes_value else "takes no value"
        raise Invalid(f"{schedule.action.value}: {needs}", field="value")
    if schedule.action is Planned.SET_SHARE:
        parts_of(schedule.value, "value")
    if schedule.action is Planned.SERVE:
        known = flags.get(connection, schedule.subject).variants
        if schedule.value not in known:
            raise Invalid(f"the flag has {', '.join(sorted(known))}", field="value")


def _flag_key(connection: Connection, schedule: Schedule) -> str:
    if schedule.action.of_rollout:
        return rollouts.get(connection, schedule.subject).flag_key
    return flags.get(connection, schedule.subject).key


def _subject(schedule: Schedule) -> str:
    return f"schedule/{schedule.id}"


def _note(connection: Connection, before: Schedule | None, after: Schedule, action: str, order: Order) -> None:
    record.note(
        connection,
        actor=order.actor,
        action=action,
        subject=_subject(after),
        reason=order.reason,
        at_ms=order.now_ms,
        before=None if before is None else schedules.plain(before),
        after=schedules.plain(after),
        request_id=order.request_id,
    )
