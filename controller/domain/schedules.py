"""Changes that are planned for a time or a recurrence, and done exactly once each time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.domain.errors import Conflict, Invalid

#: One that could not run at its time runs this much later at most; after that it is said to be missed.
GRACE_MS = 900_000
_MOST_AHEAD_MS = 400 * 86_400_000


class Planned(StrEnum):
    """What can be planned: of a flag enable, disable and serve (a variant); of a rollout start and set_share."""

    ENABLE = "enable"
    DISABLE = "disable"
    SERVE = "serve"
    START = "start"
    SET_SHARE = "set_share"

    @property
    def of_rollout(self) -> bool:
        """Whether it is about a rollout; else about a flag."""
        return self in (Planned.START, Planned.SET_SHARE)

    @property
    def takes_value(self) -> bool:
        """Whether it says to what: a variant, or a share."""
        return self in (Planned.SERVE, Planned.SET_SHARE)


class ScheduleState(StrEnum):
    """planned: it will happen (again). The others are final."""

    PLANNED = "planned"
    DONE = "done"
    REFUSED = "refused"
    MISSED = "missed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A planned change.

    Attributes:
        subject: the key of the flag or rollout.
        value: the variant to serve, or the share to set such as `25%`.
        next_ms: when it happens next; None when it will not happen any more.
        cron, zone: five fields of cron in a time zone, if it recurs.
        created_by: whoever planned it, in whose name it is done.
    """

    id: int
    action: Planned
    subject: str
    value: str
    next_ms: int | None
    cron: str = ""
    zone: str = "UTC"
    reason: str = ""
    created_by: str = ""
    created_ms: int = 0
    state: ScheduleState = ScheduleState.PLANNED
    version: int = 1

    @property
    def words(self) -> str:
        """What it does: `set_share unified-emitter 25%`."""
        return " ".join(part for part in (self.action.value, self.subject, self.value) if part)


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a planned change at one of its times."""

    schedule: int
    due_ms: int
    at_ms: int
    outcome: ScheduleState
    message: str


def check_moment(at_ms: int, now_ms: int) -> None:
    """Refuse a time that has passed, or that nobody will remember.

    Raises:
        Invalid: it is.
    """
    if at_ms <= now_ms:
        raise Invalid("this time has passed; to do it now, do it", field="at_ms")
    if at_ms - now_ms > _MOST_AHEAD_MS:
        raise Invalid("plan at most 400 days ahead", field="at_ms")


def check_open(schedule: Schedule) -> None:
    """Refuse to cancel what is over.

    Raises:
        Conflict: it is.
    """
    if schedule.state is not ScheduleState.PLANNED:
        raise Conflict(f"schedule {schedule.id} is {schedule.state.value} already", field="schedule")


def is_late(due_ms: int, now_ms: int) -> bool:
    """Whether its time is too long ago to do it still."""
    return now_ms - due_ms > GRACE_MS
