"""How many clients there are: each of them shares alpha with the others when it judges its own outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from controller.clock import Clock
from controller.domain.errors import Unavailable
from controller.domain.plans import DEFAULT_LEASE_MS
from controller.storage import instances
from controller.storage.database import Database

log = structlog.get_logger(__name__)

_EVERY_S = 5.0


class Headcount:
    """The live instances of all replicas, counted now and then; `latest` is 0 before the first count.

    `now` is a monotonic clock in seconds.
    """

    def __init__(self, database: Database, clock: Clock, now: Callable[[], float] = time.monotonic) -> None:
        self.latest = 0
        self._database = database
        self._clock = clock
        self._now = now
        self._due = now()

    def look(self) -> None:
        """Count again when it is time; where the database cannot be asked the last number stays."""
        if self._now() < self._due:
            return
        self._due = self._now() + _EVERY_S
        try:
            with self._database.read() as connection:
                self.latest = instances.count_live(connection, self._clock() - DEFAULT_LEASE_MS)
        except Unavailable as error:
            log.debug("instances not counted", error=error.detail)
