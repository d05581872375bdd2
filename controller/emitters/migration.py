"""Sessions that were opened for the canary, taken back after a rollback without all clients coming at once."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable
from typing import Final

from controller.emitters.connection import SocketConnection
from controller.emitters.endings import SERVICE_RESTART
from controller.emitters.manager import UnifiedWebSocketManager
from controller.emitters.router import EmitterRouter

__all__ = ["SessionMigration"]

logger = logging.getLogger(__name__)

_ASKED_AT_ONCE: Final = 500
_WHY: Final = "please connect again"


class SessionMigration:
    """Asks clients whose session was opened for the canary to connect again once they belong to the control.

    Where both arms share one protocol nothing has to be migrated: a run moves with its next event. Where a client
    speaks one variant for the whole session, open sockets with `serve_connection(..., variant=...)` and the answer of
    `router.assignment_of_user(user_id).variant`. After a rollback (the router's own, or the flag's), each such socket
    is closed with 1012, the code for a restarting service, at a moment of its own within `jitter`; events that were
    under way are sent again to the new connection, under the same ids.

    Nothing runs for it but a look at the router's generation in each sweep of the manager; after a change 500 users a
    sweep are asked about, so that the event loop is not held up by ten thousand questions.

    Args:
        manager: whose sockets.
        router: says which users belong to the canary.
        jitter: seconds over which reconnections are spread. Choose it so that your servers take all of them.
        chance: from 0 to 1; for tests.

    Raises:
        ValueError: `jitter` is negative.
    """

    def __init__(
        self,
        manager: UnifiedWebSocketManager,
        router: EmitterRouter,
        *,
        jitter: float = 10.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if jitter < 0:
            raise ValueError(f"jitter must be 0 or more seconds, not {jitter}")
        self._manager = manager
        self._router = router
        self._jitter = jitter
        self._chance = chance
        self._seen = router.generation
        #: Sockets whose user is to be asked about.
        self._unasked: deque[SocketConnection] = deque()
        #: When each socket is to be closed, in monotonic seconds.
        self._due: dict[SocketConnection, float] = {}
        #: Sockets closed so far.
        self.migrated = 0
        manager.add_sweep(self._sweep)

    @property
    def canary_sockets_left(self) -> int:
        """Open sockets whose session was opened for the canary."""
        return len(self._canary_sockets())

    @property
    def waiting(self) -> int:
        """Sockets whose moment has not come yet."""
        return sum(1 for connection in self._due if connection.is_open)

    def close(self) -> None:
        """Migrate nothing any more."""
        self._manager.remove_sweep(self._sweep)
        self._unasked.clear()
        self._due.clear()

    def _sweep(self, now: float) -> bool:
        generation = self._router.generation
        if generation is not self._seen:
            self._seen = generation
            self._unasked = deque(self._canary_sockets())
            if self._unasked:
                logger.info("whether %d canary sockets are to connect again is being asked", len(self._unasked))
        for _ in range(min(_ASKED_AT_ONCE, len(self._unasked))):
            self._ask_about(self._unasked.popleft(), now)
        for connection in [planned for planned, due in self._due.items() if due <= now or not planned.is_open]:
            del self._due[connection]
            if connection.is_open:
                self.migrated += 1
                self._manager.move_away(connection, SERVICE_RESTART, _WHY)
        return bool(self._due or self._unasked)

    def _ask_about(self, connection: SocketConnection, now: float) -> None:
        """Something has changed: is the user still the canary's?"""
        if self._router.assignment_of_user(connection.user_id).variant == self._router.canary:
            self._due.pop(connection, None)
        else:
            self._due.setdefault(connection, now + self._jitter * self._chance())

    def _canary_sockets(self) -> list[SocketConnection]:
        return [
            connection
            for connection in self._manager.connections
            if connection.is_open and connection.variant == self._router.canary
        ]
