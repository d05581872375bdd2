"""Recurrences: cron expressions in a time zone, as calendars understand them. The one place that knows cron.

Clock changes follow Debian's cron: a time that is skipped in spring comes when the clock has been put forward, and one
that comes twice in autumn counts once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_MOST_CHARACTERS = 100
_MINUTE_MS = 60_000
_FIELDS = 5


class BadRecurrenceError(ValueError):
    """The expression or the zone cannot be used; `field` says which of the two."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def check(cron: str, zone: str, now_ms: int) -> None:
    """Make sure that an expression means something in a zone, and will come again.

    Raises:
        BadRecurrenceError: it does not.
    """
    zone_of(zone)
    if len(cron) > _MOST_CHARACTERS or len(cron.split()) != _FIELDS or not cron.isascii():
        raise BadRecurrenceError(
            f"{cron[:120]!r} is no recurrence: write minute, hour, day, month and weekday, such as `0 16 * * FRI`",
            "cron",
        )
    try:
        CronSim(cron, _moment(now_ms, zone))
    except (CronSimError, ValueError) as error:
        raise BadRecurrenceError(f"{cron!r} is no recurrence: {error}", "cron") from None
    if next_after(cron, zone, now_ms) is None:
        raise BadRecurrenceError(f"{cron!r} never comes again", "cron")


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name in the IANA database.

    Raises:
        BadRecurrenceError: there is none of this name.
    """
    unknown = BadRecurrenceError(f"{name[:120]!r} is no time zone; write UTC or Europe/Berlin, say", "zone")
    if not name.isascii() or not name.isprintable() or len(name) > _MOST_CHARACTERS:
        raise unknown
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise unknown from None


def next_after(cron: str, zone: str, at_ms: int) -> int | None:
    """The first time after a moment; None where none comes within decades."""
    return _next(cron, zone, at_ms // _MINUTE_MS)


def last_until(cron: str, zone: str, at_ms: int) -> int | None:
    """The last time at or before a moment."""
    return _last(cron, zone, at_ms // _MINUTE_MS)


@lru_cache(maxsize=1_000)
def _next(cron: str, zone: str, minute: int) -> int | None:
    found = next(CronSim(cron, _moment(minute * _MINUTE_MS, zone)), None)
    return None if found is None else _ms(found)


@lru_cache(maxsize=1_000)
def _last(cron: str, zone: str, minute: int) -> int | None:
    # Backwards it begins before the moment, which itself counts: hence the minute more.
    found = next(CronSim(cron, _moment((minute + 1) * _MINUTE_MS, zone), reverse=True), None)
    return None if found is None else _ms(found)


def _moment(at_ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone_of(zone))


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
