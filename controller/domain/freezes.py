"""Freeze windows: times in which nothing starts or grows. They never hold a rollback."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from controller.domain.durations import duration_text, moment_text
from controller.domain.errors import Invalid
from controller.domain.scopes import EVERYWHERE, Scope

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DAY_MS = 86_400_000
_LEAST_MS, _MOST_RECURRING_MS, _MOST_MS = 60_000, 31 * _DAY_MS, 400 * _DAY_MS


class Entering(StrEnum):
    """What becomes of a rollout whose stage a freeze begins in.

    hold: its share stays as it is. ramp_down: it goes back to the first stage's share, the smallest, and climbs again
    by itself when the freeze is over.
    """

    HOLD = "hold"
    RAMP_DOWN = "ramp_down"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time: from its start until before its end."""

    starts_ms: int
    ends_ms: int

    def has(self, at_ms: int) -> bool:
        """Whether a moment is in it."""
        return self.starts_ms <= at_ms < self.ends_ms


@dataclass(frozen=True, slots=True)
class Freeze:
    """A window of the calendar, once or again and again.

    Attributes:
        reason: why, in words that everybody who is held will read.
        scope: whose rollouts it holds.
        window: when, if it happens once.
        cron, lasts_ms, zone: when it begins (five fields of cron in a time zone) and how long it lasts, if it recurs.
        version: grows by one with each change.
    """

    key: str
    reason: str
    scope: Scope = EVERYWHERE
    entering: Entering = Entering.HOLD
    window: Window | None = None
    cron: str = ""
    lasts_ms: int = 0
    zone: str = "UTC"
    created_by: str = ""
    created_ms: int = 0
    version: int = 1

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise Invalid(f"{self.key[:200]!r} is no key: 1 to 128 letters, digits and . _ -", field="key")
        if not self.reason.strip():
            raise Invalid("say why: everybody who is held by it will read this", field="reason")
        if (self.window is None) == (not self.cron):
            raise Invalid("give either from_ms and until_ms, or cron and lasts", field="from_ms")
        self._check_length()

    def _check_length(self) -> None:
        if self.window is None:
            if not _LEAST_MS <= self.lasts_ms <= _MOST_RECURRING_MS:
                raise Invalid("a recurring freeze lasts 1m to 31d", field="lasts")
        elif not _LEAST_MS <= self.window.ends_ms - self.window.starts_ms <= _MOST_MS:
            raise Invalid("a freeze ends 1m to 400d after it begins", field="until_ms")

    @property
    def when(self) -> str:
        """Its time in words."""
        if self.window is None:
            return f"{duration_text(self.lasts_ms)} from each {self.cron!r} ({self.zone})"
        return f"{moment_text(self.window.starts_ms)} to {moment_text(self.window.ends_ms)}"


@dataclass(frozen=True, slots=True)
class Active:
    """A freeze that is on, until when."""

    freeze: Freeze
    until_ms: int


@dataclass(frozen=True, slots=True)
class Held:
    """What a rollout is told of the freezes that hold it: empty words where none does."""

    words: str = ""
    ramps: bool = False
    until_ms: int | None = None


def held(active: Iterable[Active], flag_key: str) -> Held:
    """What holds a flag's rollouts: the freeze that lasts longest speaks, and one that ramps down is enough."""
    found = [one for one in active if one.freeze.scope.covers(flag_key)]
    if not found:
        return Held()
    longest = max(found, key=lambda one: (one.until_ms, one.freeze.key))
    words = f"freeze {longest.freeze.key!r} until {moment_text(longest.until_ms)}: {longest.freeze.reason}"
    ramps = any(one.freeze.entering is Entering.RAMP_DOWN for one in found)
    return Held(words, ramps, longest.until_ms)
