"""Holding the leader lease, as seen by this process."""

from __future__ import annotations

import threading

import structlog

from controller.clock import Clock
from controller.domain.errors import Unavailable
from controller.domain.leases import Lease
from controller.storage import leases, presence
from controller.storage.database import Database
from controller.storage.presence import Presence

log = structlog.get_logger(__name__)


class Leadership:
    """Takes, renews and gives up the leader lease.

    What this process believes may be out of date; that is why every transaction that acts checks the term again.
    """

    def __init__(self, database: Database, clock: Clock, holder: str) -> None:
        self._database = database
        self._clock = clock
        self.holder = holder
        self._lease: Lease | None = None
        self._showing = threading.Lock()
        self._presence = None if database.embedded else Presence(database.url)

    @property
    def lease(self) -> Lease | None:
        """The lease, while this process believes to hold it."""
        return self._lease

    def renew(self) -> Lease | None:
        """Take or renew the lease; None while another process holds it or the database cannot be reached."""
        try:
            with self._database.write() as connection:
                lease = leases.acquire(connection, self.holder, leases.now(connection, self._clock()))
                shown = lease is None or presence.shown(connection)
        except Unavailable as error:
            log.warning("lease not renewed", error=error.detail)
            lease, shown = None, True
        self._tell(lease)
        self._lease = lease
        self._show(shown=bool(shown))
        return lease

    def _show(self, *, shown: bool) -> None:
        """Show the sign of life of who evaluates, and of nobody else."""
        if self._presence is None:
            return
        with self._showing:
            if self._lease is None:
                self._presence.withdraw()
            elif not shown:
                self._presence.show()

    def lost(self) -> None:
        """A transaction was refused by its term: stop acting until the lease is taken anew."""
        self._tell(None)
        self._lease = None
        self._show(shown=False)

    def release(self) -> None:
        """Give the lease up at a clean stop."""
        if self._lease is None:
            return
        self._lease = None
        self._show(shown=False)
        try:
            with self._database.write() as connection:
                leases.release(connection, self.holder)
        except Unavailable as error:
            log.warning("lease not released; it runs out by itself", error=error.detail)

    def _tell(self, lease: Lease | None) -> None:
        before = self._lease
        if lease is not None and (before is None or before.term != lease.term):
            log.info("evaluating", holder=self.holder, term=lease.term)
        elif lease is None and before is not None:
            log.warning("no longer evaluating", holder=self.holder, term=before.term)
