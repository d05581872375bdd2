"""When things run: lease, tick and poll on APScheduler, and a wake-up for new failures."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler

from controller.clock import system_clock
from controller.domain.leases import LOOK_MS, RENEW_MS
from controller.domain.ledger import SLOT_MS
from controller.scheduler.evaluator import Evaluator
from controller.scheduler.keeping import EVERY_S
from controller.scheduler.leadership import Leadership
from controller.scheduler.planner import Planner
from controller.telemetry import Metrics

#: New failures are looked at this often at most.
_WAKE_EVERY_S = 0.25
#: The rows are the truth, whoever wrote them: they are looked at this often without any wake-up.
_POLL_EVERY_S = 1
#: The first sweep waits until a fresh process has found its feet.
_FIRST_SWEEP_S = 20


class Scheduler:
    """Runs the evaluator while this process holds the leader lease.

    Missed ticks coalesce into one, and a slow tick never overlaps itself.
    """

    def __init__(
        self,
        leadership: Leadership,
        evaluator: Evaluator,
        planner: Planner,
        metrics: Metrics,
        sweep: Callable[[], None] = lambda: None,
    ) -> None:
        self._leadership = leadership
        self._evaluator = evaluator
        self._planner = planner
        self._metrics = metrics
        self._sweep = sweep
        self._woken = threading.Event()
        self._taken = threading.Event()
        self._stopping = threading.Event()
        self._waker = threading.Thread(target=self._run_waker, name="canary-waker", daemon=True)
        self._jobs = BackgroundScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        logging.getLogger("apscheduler").setLevel(logging.ERROR)

    def start(self) -> None:
        """Take the lease if it is free, and begin."""
        self._jobs.add_job(self._renew, "interval", seconds=RENEW_MS / 1000, id="lease")
        self._jobs.add_job(self._succeed, "interval", seconds=LOOK_MS / 1000, id="succession")
        self._jobs.add_job(self._evaluator.evaluate_all, "interval", seconds=SLOT_MS / 1000, id="tick")
        self._jobs.add_job(self.wake, "interval", seconds=_POLL_EVERY_S, id="poll")
        self._jobs.add_job(self._sweep, "interval", seconds=EVERY_S, id="sweep", next_run_time=_soon())
        self._jobs.add_job(self._planner.run_due, "interval", seconds=_POLL_EVERY_S, id="plans")
        self._waker.start()
        self._renew()
        self._jobs.start()

    def wake(self) -> None:
        """New failures may have arrived: look at once, but at most four times a second."""
        self._woken.set()

    def stop(self) -> None:
        """Finish what is running, then give up the lease."""
        self._stopping.set()
        self._woken.set()
        self._jobs.shutdown(wait=True)
        self._waker.join()
        self._leadership.release()

    def _renew(self) -> None:
        before, lease = self._leadership.lease, self._leadership.renew()
        self._metrics.leader.set(0 if lease is None else 1)
        if lease is not None and (before is None or before.term != lease.term):
            self._taken.set()  # the one before may have been gone for almost a tick: do not wait for the next one
            self._woken.set()

    def _succeed(self) -> None:
        if self._leadership.lease is None:
            self._renew()

    def _run_waker(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait()
            self._woken.clear()
            if self._taken.is_set():
                self._taken.clear()
                self._evaluator.evaluate_all()
            self._evaluator.poll()
            self._stopping.wait(_WAKE_EVERY_S)


def _soon() -> datetime:
    return datetime.fromtimestamp(system_clock() / 1000, UTC) + timedelta(seconds=_FIRST_SWEEP_S)
