"""The golden path: a local rule that watches critical events and rolls back, for use without a controller."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from fractions import Fraction
from inspect import isawaitable
from typing import Any, Final

from controller.emitters.outcomes import DeliveryAttempt, DeliveryOutcome, OutcomeClass
from controller.emitters.recorder import DeliveryRecorder
from controller.emitters.types import CRITICAL_EVENTS

__all__ = ["GoldenPathAlert", "GoldenPathMonitor"]

logger = logging.getLogger(__name__)

#: Shown as a warning; it gates nothing.
_WARNING: Final = 98.0
_GOALS: Final = (99.9, 100.0)
_MAX_ALERTS_UNDER_WAY: Final = 100


@dataclass(frozen=True, slots=True)
class GoldenPathAlert:
    """A critical event was not delivered."""

    event_type: str
    user_id: str
    #: Of the window, in per cent, this event included.
    success_rate: float


class GoldenPathMonitor:
    """Rolls back once when fewer than 95.0 % of the latest critical events were delivered.

    One monitor watches one variant; give the canary's to `on_rollback=router.rollback`. The control may have one that
    only alerts. Exactly the threshold does not fire, nor does anything before `min_samples` events. After a rollback
    it is latched until `reset`. Events that stayed outside the rate (the user left, our own process ended them) are not
    looked at. It is meant to be simple; a controller judges better (by users, not by events, and with a bounded rate of
    false alarms), and where there is one, it judges alone: this monitor then reports and alerts, and never fires.

    Args:
        threshold: per cent, of which not less may be delivered.
        min_samples: events before it may fire.
        window: latest events looked at.
        variant: whose events it attends to once it is attached to a recorder; None means all.
        on_rollback: called with the reason, once per episode; may be a coroutine function. When it raises, the rollback
            has not happened, and it is called again after the next failure.
        on_alert: called with a `GoldenPathAlert` for each critical event that failed; may be a coroutine function.

    Raises:
        ValueError: a bound makes no sense; the message names it.
    """

    def __init__(
        self,
        *,
        threshold: float = 95.0,
        min_samples: int = 20,
        window: int = 1000,
        variant: str | None = "unified",
        on_rollback: Callable[[str], object] | None = None,
        on_alert: Callable[[GoldenPathAlert], object] | None = None,
    ) -> None:
        if not 0 < threshold <= 100:
            raise ValueError(f"threshold must be more than 0 and at most 100 per cent, not {threshold}")
        if not 1 <= min_samples <= window:
            raise ValueError(f"min_samples must be at least 1 and at most window ({window}), not {min_samples}")
        self.threshold = threshold
        self._floor = Fraction(str(threshold))  # exactly, so that exactly the threshold does not fire
        self.variant = variant
        self._min_samples = min_samples
        self._on_rollback = on_rollback
        self._on_alert = on_alert
        self._latest: deque[bool] = deque(maxlen=window)
        self._delivered = 0
        self._totals: Counter[tuple[str, bool]] = Counter()
        self._latched: str | None = None
        self._controller: object | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.rollbacks = 0
        #: Alerts that were not sent because too many were under way, and calls that raised.
        self.suppressed_alerts = 0
        self.callback_errors = 0

    @property
    def latched(self) -> str | None:
        """Why it has fired, until `reset`."""
        return self._latched

    @property
    def judges(self) -> bool:
        """Whether it may fire: no controller judges in its place."""
        return self._controller is None

    def attach(self, recorder: DeliveryRecorder) -> None:
        """Watch everything that this recorder settles."""
        recorder.add_listener(self)

    def defer_to(self, controller: object) -> None:
        """A controller judges from now on: report and alert only. `connect(..., monitor=...)` calls this."""
        self._controller = controller

    def attempted(self, attempt: DeliveryAttempt) -> None:
        """See `DeliveryListener`. Only outcomes matter here."""

    def settled(self, outcome: DeliveryOutcome) -> None:
        """See `DeliveryListener`: never waits; what has to be awaited becomes a task."""
        if self.variant is not None and outcome.variant != self.variant:
            return
        if outcome.outcome_class in (OutcomeClass.DELIVERED, OutcomeClass.FAILED) and self._take(
            outcome.event_type, outcome.user_id, outcome.delivered
        ):
            self._in_background(self._roll_back())

    async def validate_event_delivery(self, event_type: str, user_id: str, success: bool) -> None:
        """Enter the outcome of an event, and roll back when it was the one too many.

        Events other than the critical ones count for nothing.
        """
        if self._take(event_type, user_id, success):
            await self.trigger_rollback_procedures()

    def calculate_success_rate(self) -> float:
        """Delivered events of the window in per cent; 100.0 while there are none."""
        return 100.0 * self._delivered / len(self._latest) if self._latest else 100.0

    async def trigger_rollback_procedures(self) -> None:
        """Roll back now, unless that has been done since the last `reset` or a controller decides."""
        if self._latched is None and self.judges:
            pending = self._roll_back()
            if pending is not None:
                await pending

    def get_health_report(self) -> dict[str, Any]:
        """Figures for people: the window's rate and standing, and totals by event since it was made."""
        rate = self.calculate_success_rate()
        return {
            "variant": self.variant,
            "status": self._status(rate),
            "success_rate": rate,
            "window": len(self._latest),
            "threshold": self.threshold,
            "warning": _WARNING,
            "goals_met": [goal for goal in _GOALS if rate >= goal],
            "judged_by": "this monitor" if self.judges else "the controller",
            "rolled_back": self._latched,
            "rollbacks": self.rollbacks,
            "events": {
                event: {"delivered": self._totals[event, True], "failed": self._totals[event, False]}
                for event in CRITICAL_EVENTS
            },
            "suppressed_alerts": self.suppressed_alerts,
            "callback_errors": self.callback_errors,
        }

    def reset(self) -> None:
        """A new episode: forget the window and the latch. Totals stay."""
        self._latest.clear()
        self._delivered = 0
        self._latched = None

    async def aclose(self) -> None:
        """Wait for alerts and rollbacks that are under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, event_type: str, user_id: str, success: bool) -> bool:
        """Enter an outcome; True when the rollback is due."""
        if event_type not in CRITICAL_EVENTS:
            return False
        if len(self._latest) == self._latest.maxlen:
            self._delivered -= self._latest[0]
        self._latest.append(success)
        self._delivered += success
        self._totals[event_type, success] += 1
        if success:
            return False
        self._alert(event_type, user_id)
        return self._due()

    def _due(self) -> bool:
        """Compared as counts, so that exactly the threshold never fires."""
        seen = len(self._latest)
        below = 100 * self._delivered < self._floor * seen
        return below and seen >= self._min_samples and self._latched is None and self.judges

    def _alert(self, event_type: str, user_id: str) -> None:
        printable = "".join(c if c.isprintable() else "?" for c in user_id)  # the log must not be written by users
        logger.critical("GOLDEN PATH RISK: %s failed for user %s", event_type, printable)
        if self._on_alert is None:
            return
        if len(self._tasks) >= _MAX_ALERTS_UNDER_WAY:
            self.suppressed_alerts += 1
            return
        alert = GoldenPathAlert(event_type, user_id, self.calculate_success_rate())
        self._in_background(self._call(self._on_alert, alert, self._alert_failed))

    def _roll_back(self) -> Coroutine[Any, Any, None] | None:
        reason = f"{self.calculate_success_rate():.2f} % of {len(self._latest)} critical events were delivered"
        self._latched = reason  # before anything can wait: one rollback per episode
        self.rollbacks += 1
        logger.critical("GOLDEN PATH ROLLBACK: %s, less than %g %%", reason, self.threshold)
        return self._call(self._on_rollback, reason, self._rollback_failed)

    def _call(
        self, callback: Callable[[Any], object] | None, argument: object, failed: Callable[[Exception], None]
    ) -> Coroutine[Any, Any, None] | None:
        """Call it at once; what is left to await, if it is a coroutine function."""
        try:
            result = callback(argument) if callback is not None else None
        except Exception as error:  # noqa: BLE001 -- told in `failed`
            failed(error)
            return None
        return self._await(result, failed) if isawaitable(result) else None

    @staticmethod
    async def _await(result: Awaitable[object], failed: Callable[[Exception], None]) -> None:
        try:
            await result
        except Exception as error:  # noqa: BLE001 -- told in `failed`
            failed(error)

    def _in_background(self, work: Coroutine[Any, Any, None] | None) -> None:
        if work is not None:
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _alert_failed(self, error: Exception) -> None:
        self.callback_errors += 1
        logger.error("on_alert raised %r; it is counted and monitoring goes on", error, exc_info=error)

    def _rollback_failed(self, error: Exception) -> None:
        self.callback_errors += 1
        self.rollbacks -= 1
        self._latched = None
        logger.error("on_rollback raised %r: it is called again after the next failure", error, exc_info=error)

    def _status(self, rate: float) -> str:
        if rate < self.threshold:
            return "AT_RISK"
        return "WARNING" if rate < _WARNING else "HEALTHY"
