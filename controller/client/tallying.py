"""Counts by series and second, kept small however long the controller is away."""

from __future__ import annotations

from collections.abc import Iterable

from controller.client.attempts import Series
from controller.domain.outcomes import OutcomeClass

#: A series and the second (of the monotonic clock) that its counts belong to.
CountKey = tuple[str, str, str, int]
#: Attempts, delivered, failed, abandoned, interrupted, sum of latencies in milliseconds.
Cells = list[int]

#: Events older than this are placed here by the controller as well.
_OLDEST_S = 600
_MOST_SERIES = 2_000
_MANY_ROWS = 2_000
_MOST_ROWS = 20_000
_OTHER = "other"
_PLACE = {
    OutcomeClass.DELIVERED: 1,
    OutcomeClass.FAILED: 2,
    OutcomeClass.ABANDONED: 3,
    OutcomeClass.INTERRUPTED: 4,
}


class CountTable:
    """Exact counts of every series in buckets of a second. Not thread-safe.

    Beyond 2,000 series further event types of a known flag and variant are counted as `other`; further flags and
    variants are not counted but for their number, `uncounted`.
    """

    def __init__(self) -> None:
        self.rows: dict[CountKey, Cells] = {}
        self.uncounted = 0
        self._series: set[Series] = set()
        self._arms: set[tuple[str, str]] = set()
        self._next_coarsening = _MANY_ROWS

    def admitted(self, series: Series) -> Series | None:
        """The series to count in; None where there are too many."""
        if series in self._series:
            return series
        arm = series[:2]
        if len(self._series) < _MOST_SERIES:
            self._series.add(series)
            self._arms.add(arm)
            return series
        if arm in self._arms:
            return (*arm, _OTHER)
        self.uncounted += 1
        return None

    def attempted(self, series: Series, now_ms: int) -> None:
        """One attempt was made."""
        self._cells(series, now_ms)[0] += 1

    def settled(self, series: Series, outcome: OutcomeClass, latency_ms: int, now_ms: int) -> None:
        """One attempt has its outcome; `latency_ms` is 0 unless delivered."""
        cells = self._cells(series, now_ms)
        cells[_PLACE[outcome]] += 1
        cells[5] += latency_ms

    def take(self) -> dict[CountKey, Cells]:
        """All rows since the last call."""
        taken, self.rows = self.rows, {}
        return taken

    def merge(self, rows: Iterable[tuple[CountKey, Cells]]) -> None:
        """Add rows that were taken before."""
        for key, cells in rows:
            mine = self.rows.get(key)
            self.rows[key] = cells if mine is None else [a + b for a, b in zip(mine, cells, strict=True)]

    def crowded(self) -> bool:
        """Whether the rows should be taken, coarsened and merged again."""
        return len(self.rows) > self._next_coarsening

    def coarsened(self) -> None:
        """They were: the next time is when they have doubled."""
        self._next_coarsening = max(_MANY_ROWS, 2 * len(self.rows))

    def _cells(self, series: Series, now_ms: int) -> Cells:
        key = (*series, now_ms // 1000)
        cells = self.rows.get(key)
        if cells is None:
            cells = self.rows[key] = [0, 0, 0, 0, 0, 0]
        return cells


def coarsen(rows: dict[CountKey, Cells], now_ms: int) -> dict[CountKey, Cells]:
    """The same counts in fewer rows: seconds for the last minute, minutes before it, one row beyond ten minutes."""
    now_s = now_ms // 1000
    for step, fine_s in ((60, 60), (60, 0), (_OLDEST_S, 0)):
        table = CountTable()
        table.merge(((*key[:3], _coarse(key[3], now_s, step, fine_s)), cells) for key, cells in rows.items())
        rows = table.rows
        if len(rows) <= _MOST_ROWS:
            break
    return rows


def _coarse(second: int, now_s: int, step: int, fine_s: int) -> int:
    second = max(second, now_s - _OLDEST_S)
    return second if now_s - second < fine_s else second - second % step
