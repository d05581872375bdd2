"""The newest snapshot as this process knows it, and how old that knowledge is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cached_property

from controller.domain.errors import Unavailable
from controller.domain.snapshots import PublishedRollout, Snapshot
from controller.storage import snapshots
from controller.storage.database import Database
from controller.storage.snapshots import Published
from controller.web.answers import Answers
from controller.wire.snapshots import from_wire

#: What is older than this is asked of the database again before anybody is told.
FRESH_S = 1.0
#: A process that has not reached its database for so long vouches for nothing.
VOUCHED_S = 5.0


class Current:
    """One snapshot, ready to send, to check reports against, and to answer from."""

    def __init__(self, published: Published) -> None:
        self.revision = published.revision
        self.body = published.body
        self.etag = published.etag
        self.snapshot: Snapshot = from_wire(published.body)
        flags = self.snapshot.flags.items()
        self.variants = {key: frozenset(flag.variants) for key, flag in flags}
        self.rollouts: dict[str, PublishedRollout] = {key: flag.rollout for key, flag in flags if flag.rollout}

    @cached_property
    def answers(self) -> Answers:
        """Its flags, compiled to answer evaluators that cannot do so themselves."""
        return Answers(self.snapshot)


class FlagState:
    """Reads the snapshot when somebody said that it changed, and at least once a second when somebody asks.

    `now` is a monotonic clock in seconds.
    """

    def __init__(self, database: Database, now: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._now = now
        self._held: Current | None = None
        self._read_at = -FRESH_S
        #: How many changes were told of, and how many of them the held snapshot has.
        self._told, self._seen = 1, 0
        self._telling = threading.Lock()
        self._reading = threading.Lock()
        self._failing = False

    @property
    def age_s(self) -> float:
        """Seconds since the database was last asked with success."""
        return self._now() - self._read_at

    @property
    def vouched(self) -> bool:
        """Whether clients may be told that what they hold is the present state."""
        return self.age_s <= VOUCHED_S

    def changed(self) -> None:
        """A commit may have published a snapshot: the next one who asks gets it."""
        with self._telling:
            self._told += 1

    def ready(self) -> Current | None:
        """The snapshot, where it needs no asking; never blocks."""
        return None if self._outdated() else self._held

    def fresh(self) -> Current:
        """The snapshot as the database has it now.

        Raises:
            Unavailable: it cannot be asked, or nothing has been published yet.
        """
        if self._held is not None and not self._outdated():
            return self._held
        with self._reading:  # whoever has waited finds it read
            if self._outdated():
                self._read()
            if self._held is None:
                raise Unavailable("no snapshot has been published yet; ask again")
            return self._held

    def held(self) -> tuple[Current, float]:
        """The newest snapshot that could be had, and its age in seconds: for answers that fall back by themselves.

        While the database is away one of those who ask tries it, which may take seconds; the others do not wait.

        Raises:
            Unavailable: this process has never seen one.
        """
        if self._held is not None and self._failing and self._reading.locked():
            return self._held, self.age_s
        try:
            return self.fresh(), 0.0
        except Unavailable:
            if self._held is None:
                raise
            return self._held, self.age_s

    def _outdated(self) -> bool:
        return self._seen != self._told or self.age_s >= FRESH_S

    def _newer(self) -> Published | None:
        """What the database has that is newer than what is held."""
        known = self._held.revision if self._held is not None else 0
        try:
            with self._database.read() as connection:
                found = snapshots.latest(connection) if snapshots.latest_revision(connection) > known else None
        except Unavailable:
            self._failing = True
            raise
        self._failing = False
        return found

    def _read(self) -> None:
        began, told = self._now(), self._told
        published = self._newer()
        if published is not None:
            self._held = Current(published)
        # Only now: whoever asks while this is being read must not get the one before it.
        self._read_at, self._seen = began, told
