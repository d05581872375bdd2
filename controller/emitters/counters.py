"""Counts of attempts and outcomes that add up, per variant and event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from controller.emitters.outcomes import DELIVERED, DeliveryAttempt, DeliveryOutcome, DeliveryStatus, OutcomeClass

__all__ = ["OTHER", "Cell", "RecorderCounters", "TallyBoard"]

#: Where events are counted once there are more kinds of them than the board keeps apart.
OTHER: Final = "(other)"
_MAX_CELLS: Final = 1_000


@dataclass(slots=True)
class Cell:
    """Sufficient statistics of one variant and event type; two cells add."""

    attempted: int = 0
    delivered: int = 0
    failed: int = 0
    abandoned: int = 0
    interrupted: int = 0
    #: How many of the delivered were acknowledged by the application, and not only read by its WebSocket.
    acked: int = 0

    @property
    def total(self) -> int:
        """All settled attempts."""
        return self.delivered + self.failed + self.abandoned + self.interrupted

    @property
    def success_rate(self) -> float | None:
        """Delivered / (delivered + failed), or None while there is neither."""
        judged = self.delivered + self.failed
        return self.delivered / judged if judged else None

    def __add__(self, other: Cell) -> Cell:
        return Cell(
            self.attempted + other.attempted,
            self.delivered + other.delivered,
            self.failed + other.failed,
            self.abandoned + other.abandoned,
            self.interrupted + other.interrupted,
            self.acked + other.acked,
        )


@dataclass(frozen=True, slots=True)
class RecorderCounters:
    """Everything that a recorder has counted since it was made."""

    attempted: int
    total: int
    delivered: int
    failed: int
    abandoned: int
    interrupted: int
    #: How many of the delivered were acknowledged by the application.
    acked: int
    #: Attempts without an outcome yet.
    pending: int
    #: Outcomes that fell out of the detail ring. They are still counted and every listener has heard them.
    dropped_records: int
    #: Repeats and late words about attempts that are settled or unknown; they changed nothing.
    ignored_records: int
    #: Times that a listener raised.
    listener_errors: int
    by_event: Mapping[tuple[str, str], Cell] = field(default_factory=dict)

    def of_variant(self, variant: str) -> Cell:
        """The sum over one variant's events."""
        return sum((cell for (name, _), cell in self.by_event.items() if name == variant), Cell())


class TallyBoard:
    """One cell per (variant, event type), at most a thousand of them."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str], Cell] = {}

    def attempted(self, attempt: DeliveryAttempt) -> None:
        """Count an attempt."""
        cell = self._cells.get((attempt.variant, attempt.event_type)) or self._new(attempt.variant, attempt.event_type)
        cell.attempted += 1

    def settled(self, outcome: DeliveryOutcome) -> None:
        """Count an outcome by its class."""
        cell = self._cells.get((outcome.variant, outcome.event_type)) or self._new(outcome.variant, outcome.event_type)
        if outcome.status in DELIVERED:
            cell.delivered += 1
            cell.acked += outcome.status is DeliveryStatus.ACKED
            return
        match outcome.outcome_class:
            case OutcomeClass.FAILED:
                cell.failed += 1
            case OutcomeClass.ABANDONED:
                cell.abandoned += 1
            case OutcomeClass.INTERRUPTED:
                cell.interrupted += 1

    def snapshot(self) -> dict[tuple[str, str], Cell]:
        """A copy that no longer changes."""
        return {key: cell + Cell() for key, cell in self._cells.items()}

    def _new(self, variant: str, event_type: str) -> Cell:
        key = (variant, event_type) if len(self._cells) < _MAX_CELLS else (OTHER, OTHER)
        return self._cells.setdefault(key, Cell())
