"""The delivery reporter: counts every attempt and outcome, and brings the counts to the controller exactly once."""

from __future__ import annotations

import atexit
import itertools
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from controller.client.attempts import Attempt
from controller.client.board import Board, Own
from controller.client.compiled import Answer
from controller.client.feed import Feed
from controller.client.forks import after_fork
from controller.client.pace import Clock, Pace, seconds, steady
from controller.client.privacy import Pseudonyms, clean, clean_key
from controller.client.sender import Sender
from controller.client.spool import Spool
from controller.client.transport import Endpoint, checked_instance, forked_name, process_name
from controller.domain.outcomes import OutcomeClass
from controller.domain.snapshots import Snapshot

_LONGEST_ID = 200
_AT_EXIT_S = 2.0


@dataclass(frozen=True, slots=True)
class ReporterCounters:
    """What a reporter has seen and done since its start.

    Attributes:
        pending: attempts without an outcome.
        late: outcomes that came after the first one (or after the deadline), and outcomes of unknown attempts.
        repeated: attempts under an id that was open already.
        dropped: details of outcomes that were dropped; counts and evidence never are.
        uncounted: attempts and exposures of more flags and variants than are kept apart.
        rejected: batches that the controller refused for good.
        retries, sent: requests repeated; batches acknowledged.
    """

    attempted: int
    delivered: int
    failed: int
    abandoned: int
    interrupted: int
    pending: int
    late: int
    repeated: int
    dropped: int
    uncounted: int
    unadmitted: int
    unproved: int
    rejected: int
    retries: int
    sent: int
    revision: int


class DeliveryReporter:
    """Counts deliveries by flag, variant and event type, and reports them. Thread-safe; no call waits for the network.

    Counts and evidence are never dropped: what is not acknowledged is sent again under the same batch id, everything
    newer is merged, and the memory for it is bounded. Details of single outcomes are dropped under pressure, and
    counted. No user id in the clear leaves the process (see `Pseudonyms`). A forked child begins empty, under a name
    of its own.

    Args:
        url, token: of the controller; the token's role is `sdk`.
        instance: a name for this process, unique in the environment; made when not given.
        app_version, region: shown with the instance.
        flush_interval: between reports while there is something to report; a failure is reported within 50 ms.
        heartbeat: between reports otherwise.
        deadline: after which an attempt without an outcome has failed.
        max_outcomes: details that wait at most. max_pending: attempts that are open at most.
        spool: a folder for reports that could not be sent before the end; the next process that is given it sends them.
        clock: monotonic seconds.

    Raises:
        ValueError: an argument does not fit; the message names it.
    """

    def __init__(  # noqa: PLR0913 - a constructor's options, all keyword-only
        self,
        url: str,
        token: str,
        *,
        instance: str | None = None,
        app_version: str = "",
        region: str = "",
        flush_interval: timedelta | float = 1.0,
        heartbeat: timedelta | float = 10.0,
        deadline: timedelta | float = 5.0,
        max_outcomes: int = 20_000,
        max_pending: int = 100_000,
        spool: Spool | Path | str | None = None,
        clock: Clock = steady,
        pace: Pace | None = None,
    ) -> None:
        if max_outcomes < 1 or max_pending < 1:
            raise ValueError(f"max_outcomes ({max_outcomes}) and max_pending ({max_pending}) must be at least 1")
        self.instance = checked_instance(instance) if instance is not None else process_name()
        self._endpoint = Endpoint(url, token)
        self._pseudonyms = Pseudonyms(token)
        self._about = (clean(app_version), clean(region))
        self._paces = (seconds(flush_interval, "flush_interval"), seconds(heartbeat, "heartbeat"), pace or Pace())
        self._bounds = (round(1000 * seconds(deadline, "deadline")), max_pending, max_outcomes)
        self._spool = Spool(spool) if isinstance(spool, Path | str) else spool
        self._clock = clock
        self._lifecycle = threading.Lock()
        self._keeps_own = False
        self._begin()
        after_fork(self._restart_in_child)

    @property
    def app_version(self) -> str:
        """What reports say of the application's version."""
        return self._about[0]

    def _begin(self) -> None:
        flush_interval, heartbeat, pace = self._paces
        app_version, region = self._about
        self._prefix, self._numbers = secrets.token_hex(8), itertools.count()
        board = Board(self._pseudonyms, *self._bounds)
        if self._keeps_own:
            board.keep_own()
        self._feed = Feed(board, self._clock, instance=self.instance, app_version=app_version, region=region)
        self._sender = Sender(
            self._endpoint,
            self._feed,
            headers={"Canary-Instance": self.instance, "Canary-Reports": "1"},
            flush_interval=flush_interval,
            heartbeat=heartbeat,
            pace=pace,
            spool=self._spool,
        )

    # --- life cycle -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to report, in a daemon thread; a second call changes nothing. What was counted before is included."""
        with self._lifecycle:
            if not self._sender.running:
                self._sender.start()
                atexit.register(self._at_exit)

    def close(self, timeout: timedelta | float = 5.0) -> bool:
        """Settle what is open as interrupted, report everything, deregister, and end.

        Returns False when the controller did not acknowledge everything within `timeout`; with a spool, the rest lies
        there then. Any number of times; `start` begins again, with what was not acknowledged.
        """
        with self._lifecycle:
            if not self._sender.running:
                return True
            with self._feed.lock:
                self._feed.board.interrupt(self._feed.now_ms())
            complete = self._sender.stop(seconds(timeout, "timeout"))
            atexit.unregister(self._at_exit)
            return complete

    def flush(self, timeout: timedelta | float = 5.0) -> bool:
        """Report everything up to now and wait for the acknowledgement; False if it did not come within `timeout`."""
        return self._sender.flush(seconds(timeout, "timeout"))

    def _at_exit(self) -> None:
        self.close(_AT_EXIT_S)

    def _restart_in_child(self) -> None:
        running, parent = self._sender.running, self._feed.board
        self.instance = forked_name(self.instance)
        self._lifecycle = threading.Lock()
        self._begin()
        self._feed.board.inherit(parent)
        if running:
            self._sender.start()

    # --- what an application tells ----------------------------------------------------------------------------------

    def attempt(  # noqa: PLR0913 - the facts of one attempt, all keyword-only
        self,
        *,
        flag: str,
        variant: str,
        event_type: str,
        user_id: str | None,
        run_id: str | None = None,
        event_id: str | None = None,
        rollout: str | None = None,
        epoch: int = 0,
    ) -> Attempt:
        """Record an attempt before anything is done, and get the handle that takes its outcome.

        `rollout` and `epoch` name the assignment (flag metadata of the evaluation). Without them, or when that rollout
        is not live any more, the attempt is counted and is no evidence. Without `user_id` it proves nothing either.
        """
        series = (clean_key(flag), clean_key(variant), clean_key(event_type))
        attempt = Attempt(self, series, self._event_key(event_id), self._feed.now_ms())
        attempt.epoch = epoch if 0 <= epoch <= 2**53 else 0
        if user_id:
            attempt.user_id = user_id
            attempt.user = self._pseudonyms.of(user_id)
            attempt.run = self._pseudonyms.of(user_id, run_id) if run_id else ""
        with self._feed.lock:
            return self._feed.board.open(attempt, rollout if attempt.epoch == epoch else None)

    def settle(
        self,
        event_id: str,
        outcome_class: OutcomeClass,
        *,
        status: str = "",
        latency_ms: float | None = None,
        reason: str = "",
    ) -> bool:
        """Enter the outcome of an attempt by its id; False when it has one already or was never made."""
        with self._feed.lock:
            attempt = self._feed.board.pending.get(self._event_key(event_id))
            if attempt is None:
                self._feed.board.late += 1
                return False
        return self.settle_attempt(attempt, outcome_class, status=status, latency_ms=latency_ms, reason=reason)

    def settle_attempt(
        self,
        attempt: Attempt,
        outcome: OutcomeClass,
        *,
        status: str = "",
        latency_ms: float | None = None,
        reason: str = "",
    ) -> bool:
        """Enter the outcome of an attempt; False when it has one already, or its deadline has passed."""
        now_ms = self._feed.now_ms()
        with self._feed.lock:
            expired = self._feed.board.expire(now_ms)  # the deadline decides, not the moment of the next sweep
            settled = self._feed.board.settle(
                attempt, outcome, now_ms, status=status, latency_ms=latency_ms, reason=reason
            )
        if expired or (settled and outcome is OutcomeClass.FAILED):
            self._sender.hasten()
        return settled

    def exposed(self, flag: str, variant: str, *, revision: int | None = None) -> None:
        """An evaluation was used. `revision` is the snapshot's that answered; None stands for the present one."""
        arm = (clean_key(flag), clean_key(variant))
        now_ms = self._feed.now_ms()
        with self._feed.lock:
            self._feed.board.arms.exposed(arm, revision, now_ms)

    def open_runs(self, flag: str, variant: str, n: int) -> None:
        """How many runs are on this variant now; the last run of a canary to end is reported at once."""
        arm = (clean_key(flag), clean_key(variant))
        with self._feed.lock:
            ended = self._feed.board.arms.opened(arm, n) and not self._feed.board.assignments.is_control(*arm)
        if ended:
            self._sender.hasten()

    def run_ended(self, flag: str, variant: str, user_id: str | None, run_id: str | None) -> None:
        """A run is over: with `unit: run` its unit closes when its last outcome is known."""
        if user_id and run_id:
            run = self._pseudonyms.of(user_id, run_id)
            with self._feed.lock:
                self._feed.board.end_run(clean_key(flag), clean_key(variant), run)

    def applied(self, snapshot: Snapshot, answers: Sequence[Answer] = ()) -> None:
        """The provider evaluates this snapshot from now on; the controller is told at once.

        `answers` count its evaluations themselves.
        """
        with self._feed.lock:
            self._feed.board.applied(snapshot, self._feed.now_ms())
            self._feed.board.arms.watch(snapshot.revision, answers)
        self._sender.hasten(urgent=True)

    def watch(self, revision: int, answers: Sequence[Answer]) -> None:
        """Count what these answers of the applied snapshot count, too."""
        with self._feed.lock:
            self._feed.board.arms.watch(revision, answers)

    def keep_own_outcomes(self) -> None:
        """From now on `own_outcomes` has something to say."""
        self._keeps_own = True
        with self._feed.lock:
            self._feed.board.keep_own()

    def own_outcomes(self) -> Own:
        """What this process's outcomes since the last call weigh as evidence; they are reported all the same."""
        now_ms = self._feed.now_ms()
        with self._feed.lock:
            expired = self._feed.board.expire(now_ms)
            own = self._feed.board.own(now_ms)
        if expired:
            self._sender.hasten()
        return own

    def tripped(self) -> None:
        """This process's own outcomes have convicted a canary; the controller is told."""
        with self._feed.lock:
            self._feed.board.trips += 1
        self._sender.hasten(urgent=True)

    def counters(self) -> ReporterCounters:
        """All counters up to now."""
        with self._feed.lock:
            board = self._feed.board
            return ReporterCounters(
                attempted=board.attempted,
                delivered=board.settled[OutcomeClass.DELIVERED],
                failed=board.settled[OutcomeClass.FAILED],
                abandoned=board.settled[OutcomeClass.ABANDONED],
                interrupted=board.settled[OutcomeClass.INTERRUPTED],
                pending=len(board.pending),
                late=board.late,
                repeated=board.repeated,
                dropped=board.dropped,
                uncounted=board.counts.uncounted + board.arms.uncounted,
                unadmitted=board.book.unadmitted,
                unproved=board.book.unproved,
                rejected=self._feed.refusals.rejected,
                retries=self._sender.retries,
                sent=self._sender.sent,
                revision=board.revision,
            )

    def _event_key(self, event_id: str | None) -> str:
        if not event_id:
            return f"{self._prefix}{next(self._numbers):x}"
        return event_id if len(event_id) <= _LONGEST_ID else self._pseudonyms.of(event_id)
