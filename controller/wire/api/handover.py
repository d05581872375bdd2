"""What whoever takes over has to know."""

from __future__ import annotations

import msgspec

from controller.wire.api.freezes import FreezeView
from controller.wire.api.rollouts import AlertView
from controller.wire.api.schedules import ScheduleView


class HandoverItem(msgspec.Struct):
    """A rollout that is under way.

    Attributes:
        holds: what it waits for, in words. next: what comes next, and when.
    """

    rollout: str
    flag: str
    phase: str
    share_percent: float
    target_percent: float
    owner: str
    channel: str
    note: str
    verdict: str
    holds: str
    next: str
    alerts: list[AlertView]
    planned: list[ScheduleView]


class HandoverView(msgspec.Struct):
    """Everything that is under way, on, or planned."""

    environment: str
    at_ms: int
    rollouts: list[HandoverItem]
    freezes: list[FreezeView]
    planned: list[ScheduleView]
    alerts: list[AlertView]
