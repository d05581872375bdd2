"""Distinct users, counted by a sample that every process draws alike, and whether enough of them are active."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

#: Hexadecimal characters of a keyed hash that name a user: in the sample, and with failed evidence.
TAG_LENGTH, SHORT_TAG = 12, 8
#: Users kept of one epoch and arm before the sample is halved, by a client and by the server.
MOST_SAMPLED = 2_048
_MOST_EPOCHS = 64
#: Users are active for this long after their last attempt.
ACTIVE_MS = 600_000
#: More than these need not be told apart: what matters is whether there are three.
_MOST_ACTIVE = 4
_BITS = 4 * TAG_LENGTH
#: The gauge of active users, and the one of a single user, whose tag follows.
ACTIVE, ACTIVE_USER = "active", "active/"


class SampleKey(NamedTuple):
    """What users are counted for: a rollout, the evidence epoch and the arm they were assigned under."""

    rollout: str
    epoch: int
    arm: str


def sampled(tag: str, level: int) -> bool:
    """Whether a tag belongs to the sample of one in 2^level: it begins with so many zero bits."""
    return int(tag, 16) >> (_BITS - level) == 0


class _Drawn:
    __slots__ = ("level", "tags")

    def __init__(self) -> None:
        self.level = 0
        self.tags: set[str] = set()


class UserSample:
    """The users that a process has seen by epoch and arm: all of them, or a sample where they are many.

    A hash decides who is in the sample, so processes that see the same user agree, and a user counts once however
    often and wherever it comes. Bounded; not thread-safe.
    """

    def __init__(self) -> None:
        self._drawn: OrderedDict[SampleKey, _Drawn] = OrderedDict()
        self._new: dict[SampleKey, set[str]] = {}

    def seen(self, key: SampleKey, tag: str) -> None:
        """A user made an attempt."""
        drawn = self._drawn.get(key)
        if drawn is None:
            drawn = self._drawn[key] = _Drawn()
            while len(self._drawn) > _MOST_EPOCHS:
                self._new.pop(self._drawn.popitem(last=False)[0], None)
        if tag in drawn.tags or not sampled(tag, drawn.level):
            return
        drawn.tags.add(tag)
        self._new.setdefault(key, set()).add(tag)
        while len(drawn.tags) > MOST_SAMPLED:
            drawn.level += 1
            drawn.tags = {kept for kept in drawn.tags if sampled(kept, drawn.level)}
            self._new[key] &= drawn.tags

    def drain(self) -> dict[SampleKey, list[str]]:
        """Users that are new since the last call."""
        new, self._new = self._new, {}
        return {key: sorted(tags) for key, tags in new.items() if tags}

    def give_back(self, rest: Iterable[tuple[SampleKey, list[str]]]) -> None:
        """These were not sent."""
        for key, tags in rest:
            self._new.setdefault(key, set()).update(tags)


class ActiveUsers:
    """Up to four of a canary's users who were active in the last ten minutes. Not thread-safe.

    They are named, so that one who is served by several processes counts once; whoever is named stays so while active.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], OrderedDict[str, int]] = {}

    def seen(self, rollout: str, arm: str, user: str, now_ms: int) -> None:
        """A user made an attempt."""
        users = self._last.setdefault((rollout, arm), OrderedDict())
        if user not in users and len(users) >= _MOST_ACTIVE:
            self._forget_idle(users, now_ms)
            if len(users) >= _MOST_ACTIVE:
                return
        users[user] = now_ms
        users.move_to_end(user)

    def gauges(self, now_ms: int) -> dict[tuple[str, str, str], int]:
        """Who is active as gauges, by (rollout, arm, `active/` and a tag)."""
        for users in self._last.values():
            self._forget_idle(users, now_ms)
        self._last = {key: users for key, users in self._last.items() if users}
        return {(*key, ACTIVE_USER + user): 1 for key, users in self._last.items() for user in users}

    @staticmethod
    def _forget_idle(users: OrderedDict[str, int], now_ms: int) -> None:
        while users and now_ms - next(iter(users.values())) >= ACTIVE_MS:
            users.popitem(last=False)


def open_units(gauges: Mapping[tuple[str, str], int], arm: str) -> dict[str, int]:
    """Units of an arm that have no outcome yet by stream, by gauges of (arm, stream)."""
    found = {stream: count for (of, stream), count in sorted(gauges.items()) if of == arm and count}
    return {stream: count for stream, count in found.items() if stream != ACTIVE and not stream.startswith(ACTIVE_USER)}


def active_users(gauges: Mapping[tuple[str, str], int], arm: str) -> int | None:
    """How many users of an arm are active, by gauges of (arm, stream); None where no client says."""
    named = sum(of == arm and stream.startswith(ACTIVE_USER) and count > 0 for (of, stream), count in gauges.items())
    counted = gauges.get((arm, ACTIVE))
    return named + (counted or 0) if named or counted is not None else None
