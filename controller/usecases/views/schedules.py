"""Planned changes as they are shown."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.domain.schedules import Schedule, ScheduleState
from controller.storage import schedules
from controller.usecases.views.paging import page
from controller.wire.api.common import Page
from controller.wire.api.schedules import RunView, ScheduleView

#: Of one that recurs, so many of its last times are shown.
_MOST_RUNS = 20


def schedule_view(connection: Connection, number: int) -> ScheduleView:
    """One planned change.

    Raises:
        NotFound: there is none with this id.
    """
    return _view(connection, schedules.get(connection, number))


def schedule_page(connection: Connection, after: int = 0, limit: int = 100, state: str = "") -> Page[ScheduleView]:
    """Planned changes in the order in which they were planned; the cursor is the last one's id."""
    states = (ScheduleState(state),) if state else ()
    rows = schedules.some(connection, after, limit + 1, states)
    return page(rows, limit, lambda row: _view(connection, row), lambda row: row.id)


def upcoming(connection: Connection, limit: int = 50, subjects: tuple[str, ...] = ()) -> list[ScheduleView]:
    """What happens next, the soonest first; of these flags and rollouts, or of all."""
    return [_view(connection, row) for row in schedules.upcoming(connection, limit, subjects)]


def _view(connection: Connection, schedule: Schedule) -> ScheduleView:
    runs = schedules.runs(connection, schedule.id, _MOST_RUNS)
    return ScheduleView(
        id=schedule.id,
        action=schedule.action.value,
        subject=schedule.subject,
        value=schedule.value,
        words=schedule.words,
        state=schedule.state.value,
        next_ms=schedule.next_ms,
        cron=schedule.cron,
        zone=schedule.zone,
        reason=schedule.reason,
        created_by=schedule.created_by,
        created_ms=schedule.created_ms,
        version=schedule.version,
        runs=[RunView(run.due_ms, run.at_ms, run.outcome.value, run.message) for run in runs],
    )
