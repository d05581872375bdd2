"""Planned changes as rows; the row that says what became of one at one of its times is what makes it happen once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from controller.domain.errors import ChangedMeanwhile, NotFound
from controller.domain.schedules import Planned, Run, Schedule, ScheduleState
from controller.storage.tables import schedule_runs, schedules

_RUN = [schedule_runs.c[name] for name in ("schedule", "due_ms", "at_ms", "outcome", "message")]


def get(connection: Connection, number: int) -> Schedule:
    """One planned change.

    Raises:
        NotFound: there is none with this id.
    """
    row = connection.execute(select(schedules).where(schedules.c.id == number)).one_or_none()
    if row is None:
        raise NotFound(f"there is no schedule {number}; `canary schedule list` shows them", field="schedule")
    return _schedule(row)


def some(connection: Connection, after: int, limit: int, states: tuple[ScheduleState, ...] = ()) -> list[Schedule]:
    """Planned changes behind an id, in the order in which they were planned; all states where none is named."""
    statement = select(schedules).where(schedules.c.id > after)
    if states:
        statement = statement.where(schedules.c.state.in_([state.value for state in states]))
    return [_schedule(row) for row in connection.execute(statement.order_by(schedules.c.id).limit(limit))]


def upcoming(connection: Connection, limit: int, subjects: tuple[str, ...] = ()) -> list[Schedule]:
    """What happens next, the soonest first; of these flags and rollouts, or of all."""
    statement = select(schedules).where(schedules.c.next_ms.is_not(None))
    if subjects:
        statement = statement.where(schedules.c.subject.in_(subjects))
    soonest = statement.order_by(schedules.c.next_ms, schedules.c.id).limit(limit)
    return [_schedule(row) for row in connection.execute(soonest)]


def due(connection: Connection, now_ms: int, limit: int) -> list[int]:
    """The ids of what is due, the longest due first."""
    statement = select(schedules.c.id).where(schedules.c.next_ms <= now_ms)
    return list(connection.execute(statement.order_by(schedules.c.next_ms, schedules.c.id).limit(limit)).scalars())


def count(connection: Connection) -> int:
    """How many changes are planned."""
    return len(due(connection, 2**62, 10_000))


def add(connection: Connection, schedule: Schedule) -> Schedule:
    """A new planned change; its id is given here."""
    values = _values(schedule)
    made = insert(schedules).values(**values, created_ms=schedule.created_ms).returning(schedules)
    return _schedule(connection.execute(made).one())


def change(connection: Connection, before: Schedule, after: Schedule) -> None:
    """Replace a planned change, on condition that it is still as it was read.

    Raises:
        ChangedMeanwhile: it is not.
    """
    statement = update(schedules).where(schedules.c.id == before.id, schedules.c.version == before.version)
    if connection.execute(statement.values(**_values(after))).rowcount != 1:
        raise ChangedMeanwhile(f"schedule {before.id} is no longer at version {before.version}", field="version")


def keep_run(connection: Connection, run: Run) -> None:
    """Write what became of it; a second time at one of its times is refused by the row."""
    connection.execute(
        insert(schedule_runs).values(
            schedule=run.schedule,
            due_ms=run.due_ms,
            at_ms=run.at_ms,
            outcome=run.outcome.value,
            message=run.message,
        )
    )


def runs(connection: Connection, number: int, limit: int) -> list[Run]:
    """What became of a planned change so far, the newest first."""
    statement = select(*_RUN).where(schedule_runs.c.schedule == number).order_by(schedule_runs.c.due_ms.desc())
    return [
        Run(row.schedule, row.due_ms, row.at_ms, ScheduleState(row.outcome), row.message)
        for row in connection.execute(statement.limit(limit))
    ]


def plain(schedule: Schedule) -> dict[str, Any]:
    """The planned change as an audit entry shows it."""
    return _values(schedule)


def _values(schedule: Schedule) -> dict[str, Any]:
    return {
        "action": schedule.action.value,
        "subject": schedule.subject,
        "value": schedule.value,
        "next_ms": schedule.next_ms,
        "cron": schedule.cron,
        "zone": schedule.zone,
        "reason": schedule.reason,
        "created_by": schedule.created_by,
        "state": schedule.state.value,
        "version": schedule.version,
    }


def _schedule(row: Row[Any]) -> Schedule:
    values = row._asdict()
    return Schedule(**{**values, "action": Planned(row.action), "state": ScheduleState(row.state)})
