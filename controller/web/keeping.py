"""Which raw outcomes are stored, as this process knows it: read every few seconds, so that ingest need not ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from controller.domain.errors import Unavailable
from controller.domain.retention import NO_POLICIES, Detail, Policies
from controller.storage import retention
from controller.storage.database import Database

#: A change of a policy is followed by every process within this time.
FRESH_S = 5.0


class KnownPolicies:
    """The policies as they were read last; where they cannot be read, the ones known go on holding.

    `now` is a monotonic clock in seconds.
    """

    def __init__(self, database: Database, now: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._now = now
        self._held: Policies = NO_POLICIES
        self._due = now()
        self._reading = threading.Lock()

    def detail(self, flag_key: str) -> Detail:
        """Which raw outcomes of a flag are stored."""
        if self._now() >= self._due and self._reading.acquire(blocking=False):
            try:
                self._read()
            finally:
                self._reading.release()
        return self._held.detail(flag_key)

    def _read(self) -> None:
        self._due = self._now() + FRESH_S
        try:
            with self._database.read() as connection:
                self._held = retention.policies(connection)
        except Unavailable:
            return  # what is stored hangs on the report's own transaction, which will say so
