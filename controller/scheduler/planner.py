"""Planned changes whose time has come: done under the leader lease, each of them once."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from controller.clock import Clock
from controller.domain.durations import parts_of, percent_text
from controller.domain.errors import Conflict, StaleTerm, Unavailable
from controller.domain.orders import Order
from controller.domain.schedules import Planned, Schedule
from controller.scheduler.leadership import Leadership
from controller.storage import flags as flag_rows
from controller.storage import schedules as rows
from controller.storage.database import Database
from controller.telemetry import Metrics
from controller.usecases import flags, rollouts, schedules, starting
from controller.usecases.flags import FlagChange

log = structlog.get_logger(__name__)

#: Planned changes that one look does at most; the next look is a second later.
_MOST = 50


class Planner:
    """Does what is planned, while this process holds the leader lease; `changed` is called after something was done."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        leadership: Leadership,
        metrics: Metrics,
        changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._leadership = leadership
        self._metrics = metrics
        self._changed = changed

    def run_due(self) -> None:
        """Do everything that is due."""
        if self._leadership.lease is None:
            return
        try:
            with self._database.read() as connection:
                due = rows.due(connection, self._clock(), _MOST)
        except Unavailable as error:
            log.warning("planned changes not read", error=error.detail)
            return
        for number in due:
            self._run(number)

    def _run(self, number: int) -> None:
        lease = self._leadership.lease
        if lease is None:
            return
        try:
            run = schedules.execute(self._database, number, lease, self._clock(), act)
        except StaleTerm as error:
            log.warning("refused by term", schedule=number, error=error.detail)
            self._leadership.lost()
        except (Unavailable, Conflict) as error:
            log.warning("planned change not done yet", schedule=number, error=str(error))
        except Exception:  # one that cannot be done must not keep the others waiting
            self._metrics.errors.inc()
            log.exception("planned change failed", schedule=number)
        else:
            if run is not None:
                log.info("planned change", schedule=number, outcome=run.outcome.value, message=run.message)
                self._changed()


def act(database: Database, schedule: Schedule, order: Order) -> str:
    """Do a planned change inside the transaction of this database; says what it came to."""
    match schedule.action:
        case Planned.START:
            return starting.start(database, schedule.subject, order)[1]
        case Planned.SET_SHARE:
            weight = parts_of(schedule.value, "value")
            return f"share set to {percent_text(rollouts.set_share(database, schedule.subject, weight, order).weight)}"
        case Planned.ENABLE:
            return _change(database, schedule, FlagChange(enabled=True), order)
        case Planned.DISABLE:
            return _change(database, schedule, FlagChange(enabled=False), order)
        case Planned.SERVE:
            return _change(database, schedule, FlagChange(served=schedule.value), order)


def _change(database: Database, schedule: Schedule, wanted: FlagChange, order: Order) -> str:
    with database.read() as connection:
        version = flag_rows.get(connection, schedule.subject).version
    flag = flags.change(
        database,
        schedule.subject,
        version,
        wanted,
        actor=order.actor,
        now_ms=order.now_ms,
        reason=order.reason,
        request_id=order.request_id,
    )
    return f"serves {flag.served}" if flag.enabled else f"killed: serves {flag.control}"
