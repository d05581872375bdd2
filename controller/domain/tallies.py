"""Mergeable sufficient statistics: windows, clients and retries merge with `+`; averages are never stored."""

from __future__ import annotations

from typing import NamedTuple

#: One unit of evidence, in milli-units: a unit that failed in part weighs its failed share.
UNIT = 1000


class Tally(NamedTuple):
    """Failed and all milli-units of one stream."""

    failed: int = 0
    total: int = 0

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(self.failed + other.failed, self.total + other.total)


#: Users named with failed evidence: a conviction asks for three.
MOST_USERS = 3


class Proof(NamedTuple):
    """A tally on its way to the ledger, with up to three users (short keyed hashes) who failed in it."""

    tally: Tally = Tally()
    users: tuple[str, ...] = ()

    def plus(self, other: Proof) -> Proof:
        """Both together."""
        users = self.users
        if other.users and len(users) < MOST_USERS:
            users = tuple(dict.fromkeys((*users, *other.users)))[:MOST_USERS]
        return Proof(self.tally.plus(other.tally), users)


class EvidenceKey(NamedTuple):
    """What a tally is about: a rollout, the evidence epoch it was assigned under, an arm and a stream."""

    rollout: str
    epoch: int
    arm: str
    stream: str


class Counts(NamedTuple):
    """Raw counts of one event type on one variant: the picture that people read, not the evidence."""

    attempts: int = 0
    delivered: int = 0
    failed: int = 0
    abandoned: int = 0
    interrupted: int = 0
    latency_ms: int = 0

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(
            self.attempts + other.attempts,
            self.delivered + other.delivered,
            self.failed + other.failed,
            self.abandoned + other.abandoned,
            self.interrupted + other.interrupted,
            self.latency_ms + other.latency_ms,
        )
