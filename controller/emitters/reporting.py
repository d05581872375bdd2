"""From what emitters measure to what the client reports to the controller."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from controller.client import DeliveryReporter
from controller.emitters.monitor import GoldenPathMonitor
from controller.emitters.outcomes import Assignment, DeliveryAttempt, DeliveryOutcome
from controller.emitters.recorder import DeliveryRecorder
from controller.emitters.router import EmitterRouter
from controller.emitters.types import CRITICAL_EVENTS

__all__ = ["ReporterListener", "connect"]


logger = logging.getLogger(__name__)

#: What a reporter is to be told: an event's attempt or outcome, or something else, as a call.
_News = DeliveryAttempt | DeliveryOutcome | Callable[[], object]


class ReporterListener:
    """Hears a recorder and a router, and tells a reporter of one flag.

    Reported are the critical events that a router assigned under this flag; what was emitted past the router belongs
    to no rollout, and other event types are not part of the success rate.
    """

    def __init__(
        self,
        reporter: DeliveryReporter,
        flag_key: str,
        *,
        event_types: frozenset[str] = frozenset(CRITICAL_EVENTS),
        told_by_provider: Callable[[], bool] = lambda: False,
    ) -> None:
        #: What the reporter has not been told yet, in order.
        self._untold: list[_News] = []
        self._reporter = reporter
        self._flag_key = flag_key
        self._event_types = event_types
        self._told_by_provider = told_by_provider
        #: Times that the reporter raised.
        self.errors = 0
        # Bounded by the recorder's open attempts: each of them is settled once.
        self._reported: set[str] = set()

    def attempted(self, attempt: DeliveryAttempt) -> None:
        """Report an attempt of this flag."""
        assignment = attempt.assignment
        if assignment is None or assignment.flag_key != self._flag_key or attempt.event_type not in self._event_types:
            return
        self._reported.add(attempt.event_id)
        self._tell(attempt)

    def settled(self, outcome: DeliveryOutcome) -> None:
        """Report the outcome of a reported attempt."""
        if outcome.event_id not in self._reported:
            return
        self._reported.discard(outcome.event_id)
        self._tell(outcome)

    def exposed(self, assignment: Assignment) -> None:
        """Report a run's first event, unless the provider has told the same reporter of the evaluation already."""
        if not self._told_by_provider():
            revision = assignment.revision or None
            self._tell(partial(self._reporter.exposed, self._flag_key, assignment.variant, revision=revision))

    def open_runs(self, variant: str, count: int) -> None:
        """Report the open runs of a variant."""
        self._tell(partial(self._reporter.open_runs, self._flag_key, variant, count))

    def run_ended(self, assignment: Assignment, user_id: str, run_id: str) -> None:
        """Report the end of a run."""
        self._tell(partial(self._reporter.run_ended, self._flag_key, assignment.variant, user_id, run_id))

    def _tell(self, news: _News) -> None:
        """Tell the reporter in the next turn of the event loop, in order: whoever emits does not wait for it.

        Its locks and hashes take longer than everything else in an emit. Where no loop runs it is told at once.
        """
        self._untold.append(news)
        if len(self._untold) == 1:
            try:
                asyncio.get_running_loop().call_soon(self._tell_all)
            except RuntimeError:
                self._tell_all()

    def _tell_all(self) -> None:
        untold, self._untold = self._untold, []
        for news in untold:
            try:
                self._tell_now(news)
            except Exception:
                self.errors += 1
                if self.errors == 1:
                    logger.exception("the reporter raised; it is counted and emission goes on")

    def _tell_now(self, news: _News) -> None:
        if isinstance(news, DeliveryAttempt):
            assignment = news.assignment
            self._reporter.attempt(
                flag=self._flag_key,
                variant=news.variant,
                event_type=news.event_type,
                user_id=news.user_id,
                run_id=news.run_id,
                event_id=news.event_id,
                rollout=assignment.rollout if assignment else None,
                epoch=assignment.epoch if assignment else 0,
            )
        elif isinstance(news, DeliveryOutcome):
            self._reporter.settle(
                news.event_id,
                news.outcome_class,
                status=news.status.value,
                latency_ms=news.latency_ms,
                reason=news.error,
            )
        else:
            news()


def connect(
    recorder: DeliveryRecorder,
    router: EmitterRouter,
    reporter: DeliveryReporter,
    flag_key: str | None = None,
    *,
    monitor: GoldenPathMonitor | None = None,
) -> ReporterListener:
    """Report everything that this recorder and router measure under the router's flag, from now on.

    A provider that was given the same reporter counts exposures by itself, so that they are not reported twice. There
    is one judge, and from now on that is the controller: `monitor` reports and alerts, and does not roll back.

    Raises:
        ValueError: `flag_key` is given and is not the router's.
    """
    if flag_key is not None and flag_key != router.flag_key:
        raise ValueError(f"flag_key {flag_key!r} is not the router's {router.flag_key!r}: leave it out")

    def told_by_provider() -> bool:
        return getattr(router.provider, "reporter", None) is reporter

    if monitor is not None:
        monitor.defer_to(reporter)
    listener = ReporterListener(reporter, router.flag_key, told_by_provider=told_by_provider)
    recorder.add_listener(listener)
    router.add_observer(listener)
    for variant, count in router.open_runs().items():
        listener.open_runs(variant, count)
    return listener
