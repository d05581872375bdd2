"""Durations and shares as people write them, and back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from controller.domain.bucketing import WHOLE
from controller.domain.errors import Invalid

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"([0-9]{1,10})(ms|s|m|h|d)")
_PERCENTAGE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*%")


def duration_ms(text: str, field: str) -> int:
    """Milliseconds of `500ms`, `30s`, `10m`, `2h` or `1d`.

    Raises:
        Invalid: the text is not a whole number with one of these units.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        fix = "write a whole number with ms, s, m, h or d, such as 10m"
        raise Invalid(f"{text!r} is not a duration: {fix}", field=field)
    return int(match[1]) * _UNITS_MS[match[2]]


def duration_text(ms: int) -> str:
    """The shortest exact form of a duration: 600000 -> `10m`."""
    if not ms:
        return "0s"
    for unit in ("d", "h", "m", "s"):
        if ms % _UNITS_MS[unit] == 0:
            return f"{ms // _UNITS_MS[unit]}{unit}"
    return f"{ms}ms"


def parts_of(text: str, field: str, whole: int = WHOLE) -> int:
    """A percentage such as `10%` or `0.01%` in parts of `whole`, exactly.

    Raises:
        Invalid: no percentage, outside 0 to 100 %, or finer than one part.
    """
    match = _PERCENTAGE.fullmatch(text.strip())
    percent = Decimal(match[1]) if match else Decimal(101)
    if percent > 100:
        raise Invalid(f"{text!r} is not a percentage from 0% to 100%, such as 10%", field=field)
    parts = percent * whole / 100
    if parts != parts.to_integral_value():
        raise Invalid(f"{text!r} is finer than {Decimal(100) / whole} %", field=field)
    return int(parts)


def percent_text(parts: int, whole: int = WHOLE) -> str:
    """The shortest exact percentage of `parts` of `whole`: 1 of 10,000 -> `0.01%`."""
    return f"{(Decimal(parts) * 100 / whole).normalize():f}%"


def clock_text(at_ms: int) -> str:
    """A time of day in UTC: `12:03:20 UTC`."""
    seconds = at_ms // 1000 % 86_400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02} UTC"


def moment_text(at_ms: int) -> str:
    """A moment in UTC: `2026-11-25 18:03:20 UTC`."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
