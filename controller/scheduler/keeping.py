"""The sweep that keeps the database small and archives the trail, under the leader lease and a while at a time."""

from __future__ import annotations

import time
from pathlib import Path

import structlog

from controller.clock import Clock
from controller.domain.errors import Unavailable
from controller.scheduler.leadership import Leadership
from controller.storage.archive import ArchiveFault
from controller.storage.database import Database
from controller.usecases import archiving, retention

log = structlog.get_logger(__name__)

#: How often is swept, and for how long at most; what is left then is done the next time.
EVERY_S, FOR_S = 300, 60


class Keeper:
    """Sweeps while this process holds the lease; `archive` is the folder that the audit trail is archived into, if any.

    Two that sweep at once, as in a change of leaders, harm nothing: each step deletes what is old in a transaction, and
    a segment of the archive is the same whoever writes it.
    """

    def __init__(self, database: Database, clock: Clock, leadership: Leadership, archive: Path | None = None) -> None:
        self._database = database
        self._clock = clock
        self._leadership = leadership
        self._archive = archive

    def sweep(self) -> None:
        """One sweep; what it did and could not do is in the log."""
        if self._leadership.lease is None:
            return
        until = time.monotonic() + FOR_S
        self._archive_trail()
        try:
            swept = retention.sweep(
                self._database,
                self._clock(),
                lambda: self._leadership.lease is not None and time.monotonic() < until,
            )
        except Unavailable as error:
            log.warning("not swept", error=error.detail)
            return
        if swept.counts:
            log.info("swept", **{name.replace(" ", "_"): count for name, count in swept.counts.items()})
        for name, why in swept.troubles.items():
            log.warning("not swept now, tried again", what=name, error=why)

    def _archive_trail(self) -> None:
        if self._archive is None:
            return
        try:
            count = archiving.archive_trail(
                self._database, self._archive, self._clock(), go_on=lambda: self._leadership.lease is not None
            )
        except (ArchiveFault, Unavailable) as error:
            log.error("audit trail not archived", error=error.detail)  # noqa: TRY400 - its words say it all
            return
        if count:
            log.info("audit trail archived", entries=count)
