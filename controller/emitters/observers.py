"""Who hears of runs: exposures, open runs, and their ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from controller.emitters.outcomes import Assignment

__all__ = ["Callbacks", "ObserverList", "RunObserver"]

logger = logging.getLogger(__name__)


class RunObserver(Protocol):
    """Hears of runs, synchronously; it must be quick and must not block."""

    def exposed(self, assignment: Assignment) -> None:
        """A run is about to send its first event under this assignment."""

    def open_runs(self, variant: str, count: int) -> None:
        """So many open runs carried their last event by this variant."""

    def run_ended(self, assignment: Assignment, user_id: str, run_id: str) -> None:
        """A run has sent its last event, or was released."""


class ObserverList:
    """All observers as one; one that raises is counted and never breaks emission."""

    def __init__(self) -> None:
        self._observers: tuple[RunObserver, ...] = ()
        self.errors = 0

    def add(self, observer: RunObserver) -> None:
        """Tell this one too."""
        self._observers = (*self._observers, observer)

    def exposed(self, assignment: Assignment) -> None:
        """Tell everybody."""
        self._tell(lambda observer: observer.exposed(assignment))

    def open_runs(self, variant: str, count: int) -> None:
        """Tell everybody."""
        self._tell(lambda observer: observer.open_runs(variant, count))

    def run_ended(self, assignment: Assignment, user_id: str, run_id: str) -> None:
        """Tell everybody."""
        self._tell(lambda observer: observer.run_ended(assignment, user_id, run_id))

    def _tell(self, call: Callable[[RunObserver], None]) -> None:
        for observer in self._observers:
            try:
                call(observer)
            except Exception:
                self.errors += 1
                if self.errors == 1:
                    logger.exception("a run observer raised; it is counted and emission goes on")


class Callbacks:
    """Three optional functions as an observer."""

    def __init__(
        self,
        on_exposure: Callable[[Assignment], None] | None,
        on_open_runs: Callable[[str, int], None] | None,
        on_run_end: Callable[[Assignment, str, str], None] | None,
    ) -> None:
        self._on_exposure = on_exposure
        self._on_open_runs = on_open_runs
        self._on_run_end = on_run_end

    def exposed(self, assignment: Assignment) -> None:
        """See `RunObserver`."""
        if self._on_exposure is not None:
            self._on_exposure(assignment)

    def open_runs(self, variant: str, count: int) -> None:
        """See `RunObserver`."""
        if self._on_open_runs is not None:
            self._on_open_runs(variant, count)

    def run_ended(self, assignment: Assignment, user_id: str, run_id: str) -> None:
        """See `RunObserver`."""
        if self._on_run_end is not None:
            self._on_run_end(assignment, user_id, run_id)
