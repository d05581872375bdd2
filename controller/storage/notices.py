"""PostgreSQL's LISTEN: hearing at once what another replica has committed. The rows stay the truth."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL

from controller.storage.database import KEEPALIVES, conninfo_of

log = logging.getLogger(__name__)

_PATIENCE_S = 1.0


class Listener:
    """One connection and one thread that calls `heard(channel)` for each notice; reconnects by itself.

    After each connection it calls `heard` for every channel, since notices may have been missed meanwhile.
    """

    def __init__(self, url: URL, channels: Iterable[str], heard: Callable[[str], None]) -> None:
        self._conninfo = make_conninfo(conninfo_of(url), **KEEPALIVES)
        self._channels = tuple(channels)
        self._heard = heard
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canary-listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except psycopg.Error as error:
                log.warning("not listening to the database, polling goes on: %s", str(error).strip())
                self._stopping.wait(_PATIENCE_S)

    def _listen(self) -> None:
        with psycopg.connect(self._conninfo, autocommit=True, connect_timeout=5) as connection:
            for channel in self._channels:
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                self._heard(channel)
            while not self._stopping.is_set():
                for notice in connection.notifies(timeout=_PATIENCE_S):
                    self._heard(notice.channel)
                    if self._stopping.is_set():
                        return
