"""What this process does with each variant: open runs and exposures, the facts that verify a rollback."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controller.client.compiled import Answer
from controller.client.privacy import clean_key
from controller.wire.reports import ArmRow

_MOST_ARMS = 5_000

#: A flag's key and a variant.
Arm = tuple[str, str]


@dataclass(slots=True, eq=False)
class Gauge:
    """One variant of a flag; `changed` since it was reported."""

    flag: str
    variant: str
    open_runs: int = 0
    exposures: int = 0
    since_applied: int = 0
    exposed_ms: int | None = None
    changed: bool = False


class ArmGauges:
    """Totals and gauges by flag and variant, and which have changed since they were reported. Not thread-safe.

    Evaluations are counted by the answers themselves, without a lock; `watch` says which ones, and they are read
    whenever rows are taken.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.uncounted = 0
        self._gauges: dict[Arm, Gauge] = {}
        self._watched: list[tuple[int, Sequence[Answer]]] = []

    def watch(self, revision: int, answers: Sequence[Answer]) -> None:
        """Count what these answers count from now on, and those that are added to them.

        Those of the revision before are watched on for a while: whoever was asking while the snapshot was replaced
        was answered by them.
        """
        self._collect()
        self._watched = [entry for entry in self._watched if self._before(revision) <= entry[0] < revision]
        self._watched.append((revision, answers))

    def exposed(self, arm: Arm, revision: int | None, now_ms: int) -> None:
        """An evaluation was used. One made on an older revision than the applied one does not count as made since."""
        gauge = self._gauges.get(arm) or self._admit(arm)
        if gauge is not None:
            gauge.changed = True
            gauge.exposures += 1
            gauge.exposed_ms = now_ms
            if revision is None or revision >= self.revision:
                gauge.since_applied += 1

    def opened(self, arm: Arm, runs: int) -> bool:
        """Set the number of open runs; True when the last one has just ended."""
        gauge = self._gauges.get(arm) or self._admit(arm)
        if gauge is None:
            return False
        gauge.changed = True
        ended = gauge.open_runs > 0 and runs <= 0
        gauge.open_runs = max(0, runs)
        return ended

    def applied(self, revision: int) -> None:
        """Count exposures since now."""
        self._collect()
        self.revision = revision
        for gauge in self._gauges.values():
            if gauge.since_applied:
                gauge.since_applied = 0
                gauge.changed = True

    def take(self, now_ms: int) -> list[ArmRow]:
        """The rows that have changed since the last call."""
        self._collect()
        changed = [gauge for gauge in self._gauges.values() if gauge.changed]
        for gauge in changed:
            gauge.changed = False
        return [_row(gauge, now_ms) for gauge in changed]

    def give_back(self, rows: Iterable[ArmRow]) -> None:
        """These rows did not reach the controller."""
        for row in rows:
            self._gauges[row.flag, row.variant].changed = True

    def _before(self, revision: int) -> int:
        """The newest watched revision before this one."""
        return max((found for found, _ in self._watched if found < revision), default=revision)

    def _collect(self) -> None:
        for revision, answers in self._watched:
            for answer in tuple(answers):
                if answer.count != answer.told:
                    self._add(answer, revision)

    def _add(self, answer: Answer, revision: int) -> None:
        count = answer.count
        new, answer.told = count - answer.told, count
        arm = (clean_key(answer.flag), clean_key(answer.variant))
        gauge = self._gauges.get(arm) or self._admit(arm)
        if gauge is None:
            return
        gauge.changed = True
        gauge.exposures += new
        gauge.exposed_ms = max(gauge.exposed_ms or 0, int(answer.at * 1000))
        if revision >= self.revision:
            gauge.since_applied += new

    def _admit(self, arm: Arm) -> Gauge | None:
        if len(self._gauges) >= _MOST_ARMS:
            self.uncounted += 1
            return None
        return self._gauges.setdefault(arm, Gauge(*arm))


def _row(gauge: Gauge, now_ms: int) -> ArmRow:
    return ArmRow(
        flag=gauge.flag,
        variant=gauge.variant,
        open_runs=gauge.open_runs,
        exposures=gauge.exposures,
        since_applied=gauge.since_applied,
        exposure_age_ms=None if gauge.exposed_ms is None else max(0, now_ms - gauge.exposed_ms),
    )
