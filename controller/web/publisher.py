"""Tells streams what has been committed: the newest snapshot to clients, and that something changed to pages."""

from __future__ import annotations

import json
import threading

import structlog

from controller.domain.errors import Unavailable
from controller.storage import snapshots
from controller.storage.database import Database
from controller.web.stream import StreamHub

log = structlog.get_logger(__name__)

#: Topics of the hub.
SNAPSHOTS = "snapshots"
CHANGES = "changes"

#: Looked at this often even when nobody said that something changed: the rows are the truth.
_POLL_EVERY_S = 1.0
#: Pages are told at most this often.
_TELL_EVERY_S = 0.25


class Publisher:
    """One thread that reads the newest revision and hands it to the hub; revisions never go back."""

    def __init__(self, database: Database, hub: StreamHub) -> None:
        self._database = database
        self._hub = hub
        self._woken = threading.Event()
        self._dirty = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canary-publisher", daemon=True)
        self._changes = 0
        self.revision = 0

    def start(self) -> None:
        """Publish what there is, and watch for more."""
        self._dirty.set()
        self._look()
        self._thread.start()

    def changed(self) -> None:
        """A commit may have changed what clients or pages see."""
        self._dirty.set()
        self._woken.set()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait(_POLL_EVERY_S)
            self._woken.clear()
            self._look()
            self._stopping.wait(_TELL_EVERY_S)

    def _look(self) -> None:
        try:
            with self._database.read() as connection:
                newest = snapshots.latest_revision(connection)
                published = snapshots.latest(connection) if newest > self.revision else None
        except Unavailable as error:
            log.warning("snapshot not read", error=error.detail)
            return
        if published is not None:
            self.revision = published.revision
            self._hub.publish(SNAPSHOTS, str(published.revision), "snapshot", published.body)
        if published is not None or self._dirty.is_set():
            self._dirty.clear()
            self._changes += 1
            data = json.dumps({"revision": self.revision}).encode()
            self._hub.publish(CHANGES, str(self._changes), "change", data)
