"""What the sender is fed with: a reporter's board behind its lock, frozen into batches."""

from __future__ import annotations

import threading
from dataclasses import replace

import msgspec

from controller.client.batches import Frozen, pack, parts_of
from controller.client.board import Board
from controller.client.pace import Clock
from controller.client.refusals import RefusalLog
from controller.client.tallying import coarsen
from controller.client.transport import SDK
from controller.clock import system_clock
from controller.domain.outcomes import OutcomeClass
from controller.wire.reports import Report

_MOST_OUTCOMES_AT_ONCE = 2_000


class Feed:
    """A board, the lock that guards it, and the batches made of it.

    Args:
        instance, app_version, region: what reports say of this process.
        clock: monotonic seconds.
    """

    def __init__(self, board: Board, clock: Clock, *, instance: str, app_version: str, region: str) -> None:
        self.lock = threading.Lock()
        self.board = board
        self.refusals = RefusalLog()
        self._clock = clock
        self._about = (instance, app_version, region)
        # Beyond any number of an earlier process of the same name, so that its reports do not outrank ours.
        self._seq = system_clock()

    def now_ms(self) -> int:
        """Monotonic milliseconds."""
        return int(self._clock() * 1000)

    def maintain(self) -> bool:
        """Fail what is past its deadline, and keep the counts small while they cannot be sent; True after a failure."""
        now_ms = self.now_ms()
        with self.lock:
            expired = self.board.expire(now_ms)
            self.board.gather()
            crowded = self.board.counts.take() if self.board.counts.crowded() else None
        if crowded is not None:
            fewer = coarsen(crowded, now_ms)  # without the lock: callers do not wait for this
            with self.lock:
                self.board.counts.merge(fewer.items())
                self.board.counts.coarsened()
        return expired > 0

    def waiting(self) -> bool:
        """Whether there is something to report."""
        with self.lock:
            return self.board.waiting()

    def freeze(self, *, closing: bool) -> Frozen:
        """The next batch: everything up to now, or as much as fits."""
        now_ms = self.now_ms()
        with self.lock:
            taken = self.board.take(_MOST_OUTCOMES_AT_ONCE, now_ms)
            head = self._head(now_ms)
        frozen, rest = pack(taken, head, now_ms)
        with self.lock:
            self.board.give_back(rest)
        more = frozen.more or taken.more
        report = msgspec.structs.replace(frozen.report, closing=closing and not more)
        return replace(frozen, report=report, more=more)

    def refused(self, frozen: Frozen, status: int, body: bytes) -> list[Frozen]:
        """The parts of a refused batch to try one by one; a part that is refused too is counted and dropped."""
        parts = [] if frozen.parted else parts_of(frozen, self._next_seq)
        if len(parts) < 2:
            self.refusals.note(frozen.report, status, body)
            return []
        return parts

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def _head(self, now_ms: int) -> Report:
        board = self.board
        instance, app_version, region = self._about
        return Report(
            batch="",
            instance=instance,
            seq=self._next_seq(),
            counted_by="client",
            revision=board.revision,
            applied_age_ms=None if board.applied_ms is None else max(0, now_ms - board.applied_ms),
            app_version=app_version,
            region=region,
            sdk=SDK,
            dropped=board.dropped,
            unadmitted=board.book.unadmitted,
            unproved=board.book.unproved,
            attempted=board.attempted,
            delivered=board.settled[OutcomeClass.DELIVERED],
            failed=board.settled[OutcomeClass.FAILED],
            abandoned=board.settled[OutcomeClass.ABANDONED],
            interrupted=board.settled[OutcomeClass.INTERRUPTED],
            pending=len(board.pending),
            trips=board.trips,
        )
