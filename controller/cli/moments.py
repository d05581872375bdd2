"""Moments as people write them: `2026-12-24T16:00`, `2026-12-24 16:00+01:00`, `+2h`."""

from __future__ import annotations

from datetime import datetime

import typer

from controller.clock import system_clock
from controller.domain.durations import duration_ms
from controller.domain.errors import Invalid


def moment_ms(text: str, option: str) -> int:
    """Milliseconds since 1970; a moment without a time zone is in this machine's.

    Raises:
        BadParameter: it cannot be read.
    """
    text = text.strip()
    try:
        if text.startswith("+"):
            return system_clock() + duration_ms(text[1:], option)
        return round(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except (Invalid, ValueError, OverflowError):
        raise typer.BadParameter(
            f"{option}: {text!r} is no moment; write 2026-12-24T16:00 (this machine's time zone), "
            "2026-12-24T16:00+01:00, or +2h from now"
        ) from None
