"""Patience with a PostgreSQL server that stops answering: a transaction waits a while, and then nobody waits.

A server's own time-outs help only while it works. One that is paused, or cut off by a network that drops packets,
leaves its clients waiting for ever; here their sockets are shut down instead, which they see as a lost connection.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

import psycopg

from controller.domain.errors import Unavailable

#: A transaction that takes longer than this makes the watch ask whether the server still answers anybody.
DOUBT_S = 3.0
#: How often is looked, and how long after a failed try nobody tries again.
_LOOK_EVERY_S = 0.5


@dataclass
class _Watched:
    connection: psycopg.Connection
    since_s: float
    until_s: float


class Breaker:
    """While the server does not answer, one caller tries at a time and the others are told at once.

    It opens when a connection cannot be made, or when the watch finds the server dead; the first success closes it.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._turn = threading.Lock()
        self._open = False
        self._trying = False
        self._again_s = 0.0

    def trip(self) -> None:
        """The server does not answer."""
        with self._turn:
            self._open = True
            self._again_s = self._now() + _LOOK_EVERY_S

    @contextlib.contextmanager
    def passing(self) -> Iterator[None]:
        """Get a connection, if this is the time to try.

        Raises:
            Unavailable: the server did not answer a moment ago, and somebody else tries, or it is too early to.
        """
        trying = self._admit()
        try:
            yield
        except BaseException:
            with self._turn:
                self._trying = self._trying and not trying
                self._again_s = self._now() + _LOOK_EVERY_S
            raise
        with self._turn:
            if trying:
                self._open = self._trying = False

    def _admit(self) -> bool:
        with self._turn:
            if not self._open:
                return False
            if self._trying or self._now() < self._again_s:
                raise Unavailable("the database does not answer at present; it is tried again all the time")
            self._trying = True
            return True


class Watch:
    """Looks after the connections that are in use, and shuts down those whose server has stopped answering.

    `probe` makes a connection of its own and raises psycopg's ConnectionTimeout where nobody answers; `dead` is called
    when that happened.
    """

    def __init__(self, probe: Callable[[], None], dead: Callable[[], None]) -> None:
        self._probe = probe
        self._dead = dead
        self._watched: dict[Hashable, _Watched] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def begin(self, key: Hashable, connection: psycopg.Connection, within_s: float) -> None:
        """A connection is in use from now on, for so long at most."""
        now_s = time.monotonic()
        with self._changed:
            self._watched[key] = _Watched(connection, now_s, now_s + within_s)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="canary-database-watch", daemon=True)
                self._thread.start()

    def end(self, key: Hashable) -> None:
        """It is not in use any more."""
        with self._changed:
            self._watched.pop(key, None)

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(DOUBT_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed, _LOOK_EVERY_S)
                if self._closed:
                    return
                doubtful = [one for one in self._watched.values() if time.monotonic() - one.since_s > DOUBT_S]
            if doubtful and not self._answers():
                self._dead()
                self._cut(lambda one, now_s: now_s - one.since_s > DOUBT_S)
            self._cut(lambda one, now_s: now_s > one.until_s)

    def _answers(self) -> bool:
        """Whether the server talks to a newcomer; one that refuses him talks, too."""
        try:
            self._probe()
        except psycopg.errors.ConnectionTimeout:
            return False
        except psycopg.Error:
            return True
        return True

    def _cut(self, which: Callable[[_Watched, float], bool]) -> None:
        """Shut sockets down; under the lock, so that none of them has been given back and is somebody else's by now."""
        with self._changed:
            now_s = time.monotonic()
            for key, one in list(self._watched.items()):
                if which(one, now_s):
                    del self._watched[key]
                    _shut_down(one.connection)


def _shut_down(connection: psycopg.Connection) -> None:
    with (
        contextlib.suppress(OSError, psycopg.Error),  # it may be closed already
        socket.socket(fileno=os.dup(connection.pgconn.socket)) as own,
    ):
        own.shutdown(socket.SHUT_RDWR)
