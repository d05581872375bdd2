"""One round of evaluations; rounds never overlap, and a slow one is waited for, not doubled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from controller.clock import Clock
from controller.domain.errors import Conflict, StaleTerm, Unavailable
from controller.domain.instances import Verification
from controller.domain.leases import Lease
from controller.domain.ledger import SLOT_MS
from controller.domain.rollouts import Action, Phase, Rollout
from controller.scheduler.leadership import Leadership
from controller.storage import evidence, rollouts
from controller.storage.database import Database
from controller.telemetry import Metrics, timed
from controller.tracing import span
from controller.usecases.evaluation import Evaluated, evaluate
from controller.usecases.measuring import measure
from controller.usecases.verification import check_rollback

log = structlog.get_logger(__name__)

#: Rollouts that are evaluated in one transaction.
_GROUP = 100
#: A rollback that waits for the same instances is warned of this often.
_REPEAT_MS = 60_000


class Evaluator:
    """Evaluates live rollouts and watches rollbacks, under the leader lease.

    `changed` is called after a round that published something.
    """

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
        self._round = threading.Lock()
        self._ticked_s: float | None = None
        self._warned: dict[str, tuple[dict[str, str], int]] = {}

    def evaluate_all(self) -> None:
        """The tick: every live rollout, and those that are measuring."""
        now_s = time.monotonic()
        if self._leadership.lease is not None and self._ticked_s is not None:
            self._metrics.lateness.observe(max(0.0, now_s - self._ticked_s - SLOT_MS / 1000))
        self._ticked_s = None if self._leadership.lease is None else now_s
        with span("tick"), timed(self._metrics.tick):
            self._evaluate_all()

    def _evaluate_all(self) -> None:
        found = self._unfinished()
        self._evaluate([r.key for r in found if r.phase.live])
        for rollout in found:
            if rollout.phase is Phase.MEASURING:
                self._under_lease([rollout.key], self._measure)
        if self._leadership.lease is not None:
            self._metrics.evaluated.set(self._clock() / 1000)

    def poll(self) -> None:
        """The wake-up: rollouts with new canary failures in the rows, which are the truth, and rollbacks under way."""
        if self._leadership.lease is None:
            return
        try:
            with self._database.read() as connection:
                troubled = evidence.pending_failures(connection)
        except Unavailable as error:
            log.warning("not polled", error=error.detail)
            return
        found = self._unfinished()
        self._evaluate([r.key for r in found if r.phase.live and r.key in troubled])
        for rollout in found:
            if rollout.phase is Phase.ROLLING_BACK:
                self._under_lease([rollout.key], self._verify)

    def _unfinished(self) -> list[Rollout]:
        if self._leadership.lease is None:
            return []
        try:
            with self._database.read() as connection:
                return rollouts.unfinished(connection)
        except Unavailable as error:
            log.warning("rollouts not read", error=error.detail)
            return []

    def _evaluate(self, keys: Sequence[str]) -> None:
        """Evaluate in groups of one transaction each; where one spoils its group, each of it is tried alone."""
        for at in range(0, len(keys), _GROUP):
            group = keys[at : at + _GROUP]
            if not self._under_lease(group, self._judge) and len(group) > 1:
                for key in group:
                    self._under_lease([key], self._judge)

    def _judge(self, keys: Sequence[str], lease: Lease) -> None:
        with span("evaluate", rollouts=len(keys)):
            with timed(self._metrics.evaluation):
                found = evaluate(self._database, keys, lease, self._clock())
            self._tell(found)

    def _tell(self, found: Sequence[Evaluated]) -> None:
        """Say what was decided, and have it published: within the span, so that both belong to its trace."""
        for one in found:
            if one.error is not None:
                self._metrics.errors.inc()
                log.error("not judged", rollout=one.rollout, why=one.message, exc_info=one.error)
            elif one.action is not Action.HOLD:
                log.info("decided", rollout=one.rollout, action=one.action.value, why=one.message)
        if found:
            self._changed()

    def _measure(self, keys: Sequence[str], lease: Lease) -> None:
        for key in keys:
            found = measure(self._database, key, lease, self._clock())
            if found is not None and found.phase is not Phase.MEASURING:
                log.info("measured", rollout=key)
                self._changed()

    def _verify(self, keys: Sequence[str], lease: Lease) -> None:
        for key in keys:
            found = check_rollback(self._database, key, lease, self._clock())
            if found is None:
                continue
            self._changed()
            if found.complete:
                self._warned.pop(key, None)
                log.info("rollback verified", rollout=key, how=found.sentence)
            else:
                self._warn(key, found)

    def _warn(self, key: str, found: Verification) -> None:
        """Name who is missing: at once when that changes, else once a minute."""
        missing = {m.instance: m.why for m in found.missing}
        said, said_ms = self._warned.get(key, ({}, 0))
        if missing != said or self._clock() - said_ms >= _REPEAT_MS:
            self._warned[key] = (missing, self._clock())
            log.warning("rollback not confirmed yet", rollout=key, how=found.sentence, missing=missing)

    def _under_lease(self, keys: Sequence[str], act: Callable[[Sequence[str], Lease], None]) -> bool:
        """Act on rollouts while the lease is held; False where it did not work out and each may be tried alone."""
        with self._round:
            lease = self._leadership.lease
            if lease is None:
                return True
            try:
                act(keys, lease)
            except StaleTerm as error:
                log.warning("refused by term", rollouts=list(keys), error=error.detail)
                self._leadership.lost()
            except Unavailable as error:
                log.warning("not evaluated", rollouts=list(keys), error=error.detail)
            except Conflict as error:
                log.warning("changed meanwhile", rollouts=list(keys), error=str(error))
                return False
            except Exception:  # an error is not a verdict: the other rollouts are still evaluated
                self._metrics.errors.inc()
                log.exception("evaluation failed", rollouts=list(keys))
                return False
        return True
