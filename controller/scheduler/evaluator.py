"""One round of evaluations; rounds never overlap, and a slow one is waited for, not doubled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import structlog

from controller.clock import Clock
from controller.domain.errors import Conflict, StaleTerm, Unavailable
from controller.domain.instances import Verification
from controller.domain.leases import Lease
from controller.domain.rollouts import Action, Phase
from controller.scheduler.leadership import Leadership
from controller.storage import evidence, rollouts
from controller.storage.database import Database
from controller.telemetry import Metrics
from controller.usecases.evaluation import evaluate
from controller.usecases.verification import check_rollback

log = structlog.get_logger(__name__)

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
        self._warned: dict[str, tuple[dict[str, str], int]] = {}

    def evaluate_all(self) -> None:
        """The tick: every live rollout."""
        self._evaluate(self._keys(live=True))
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
        if troubled:
            self._evaluate(key for key in self._keys(live=True) if key in troubled)
        for key in self._keys(live=False):
            self._under_lease(key, self._verify)

    def _keys(self, *, live: bool) -> list[str]:
        if self._leadership.lease is None:
            return []
        try:
            with self._database.read() as connection:
                found = rollouts.unfinished(connection)
        except Unavailable as error:
            log.warning("rollouts not read", error=error.detail)
            return []
        return [r.key for r in found if (r.phase is not Phase.ROLLING_BACK) is live]

    def _evaluate(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._under_lease(key, self._judge)

    def _judge(self, key: str, lease: Lease) -> None:
        with self._metrics.evaluation.time():
            found = evaluate(self._database, key, lease, self._clock())
        if found is not None and found.action is not Action.HOLD:
            log.info("decided", rollout=key, action=found.action.value, why=found.message)
        if found is not None:
            self._changed()

    def _verify(self, key: str, lease: Lease) -> None:
        found = check_rollback(self._database, key, lease, self._clock())
        if found is None:
            return
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

    def _under_lease(self, key: str, act: Callable[[str, Lease], None]) -> None:
        with self._round:
            lease = self._leadership.lease
            if lease is None:
                return
            try:
                act(key, lease)
            except StaleTerm as error:
                log.warning("refused by term", rollout=key, error=error.detail)
                self._leadership.lost()
            except (Conflict, Unavailable) as error:
                log.warning("not evaluated", rollout=key, error=str(error))
            except Exception:  # an error is not a verdict: the other rollouts are still evaluated
                self._metrics.errors.inc()
                log.exception("evaluation failed", rollout=key)
