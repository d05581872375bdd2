"""Channel tokens: what opens an event stream where no header can be sent, for some minutes and for nothing else."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from hashlib import blake2b

from controller.clock import Clock

#: A token is made anew each time this has passed, and is good for at least as long and at most twice as long.
PERIOD_MS = 600_000

_LONGEST = 80


class Channels:
    """Makes and checks channel tokens; all replicas of an installation make the same.

    A token says nothing but that its bearer was let in a short while ago, and the stream nothing but that something
    changed. `key` reads the installation's key, once.
    """

    def __init__(self, key: Callable[[], bytes], clock: Clock) -> None:
        self._read_key = key
        self._key: bytes | None = None
        self._clock = clock

    @property
    def period(self) -> int:
        """The number of the present period; a new one has a new token."""
        return self._clock() // PERIOD_MS

    def token(self) -> str:
        """The present token."""
        return self._token(self.period)

    def lets_in(self, token: str) -> bool:
        """Whether this is the present token, the one before it, or the next one of a replica whose clock is ahead."""
        if not token.isascii() or len(token) > _LONGEST:
            return False
        now = self.period
        return any(hmac.compare_digest(token, self._token(period)) for period in (now, now - 1, now + 1))

    def _token(self, period: int) -> str:
        if self._key is None:
            self._key = self._read_key()
        seal = blake2b(str(period).encode(), key=self._key[:64], digest_size=20, person=b"canary-channel")
        return f"{period}.{seal.hexdigest()}"
