"""The small picture of a rollout's health: one bar for each event, from 80 % at the bottom to 100 % at the top."""

from __future__ import annotations

from dataclasses import dataclass

from controller.wire.api.rollouts import EventHealth

#: What is asked of every event, and what the control's own noise may look like beside it.
_LINE, _CLOSE = 95.0, 97.0
_LOWEST, _HIGH = 80.0, 24.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One event on the canary; None where nothing was counted."""

    event: str
    percent: float | None
    control: float | None
    tone: str
    height: float


def bars(health: list[EventHealth]) -> list[Bar]:
    """The canary's events in the order of the manifest, each with the control's rate beside it."""
    control = {row.event_type: row.success_percent for row in health if row.arm == "control"}
    return [_bar(row, control.get(row.event_type)) for row in health if row.arm == "canary"]


def worst(found: list[Bar]) -> Bar | None:
    """The lowest bar; None where no canary event was counted."""
    counted = [bar for bar in found if bar.percent is not None]
    return min(counted, key=lambda bar: bar.percent or 0.0, default=None)


def _bar(row: EventHealth, control: float | None) -> Bar:
    value = row.success_percent
    if value is None:
        return Bar(row.event_type, None, control, "none", 1.0)
    tone = "bad" if value < _LINE else "warn" if value < _CLOSE else "ok"
    height = _HIGH * (max(value, _LOWEST) - _LOWEST) / (100.0 - _LOWEST)
    return Bar(row.event_type, value, control, tone, round(max(2.0, height), 1))
