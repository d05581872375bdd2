"""The leader lease: one process evaluates at a time, and a stale one is told so by its term."""

from __future__ import annotations

from dataclasses import dataclass

#: How long a lease holds unless renewed.
LEASE_MS = 10_000
#: How often the holder renews.
RENEW_MS = 3_000
#: How often everybody else looks whether it can be taken.
LOOK_MS = 1_000
#: A holder that has renewed this long ago has had the time to show its sign of life.
SETTLED_MS = 1_500


@dataclass(frozen=True, slots=True)
class Lease:
    """Who evaluates; the term grows whenever the holder changes and fences whoever held it before."""

    holder: str
    term: int
    expires_ms: int
