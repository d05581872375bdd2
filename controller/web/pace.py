"""How often one token may ask for evaluations."""

from __future__ import annotations

from collections.abc import Callable

from controller.domain.errors import TooFast

_MOST_TOKENS = 1_000


class Pace:
    """Counts requests by token and second; `most` of 0 is no limit. A count lost to a race costs nothing.

    `now` is a monotonic clock in seconds.
    """

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._most = most
        self._now = now
        self._second = 0
        self._counts: dict[str, int] = {}

    def admit(self, name: str) -> None:
        """One more request of this token.

        Raises:
            TooFast: it has had its share of this second.
        """
        if not self._most:
            return
        second = int(self._now())
        if second != self._second or len(self._counts) > _MOST_TOKENS:
            self._second, self._counts = second, {}
        self._counts[name] = count = self._counts.get(name, 0) + 1
        if count > self._most:
            raise TooFast(f"this token may ask {self._most} times a second; ask again in a second")
