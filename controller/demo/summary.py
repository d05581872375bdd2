"""What it came to, in figures, and the replay of every decision."""

from __future__ import annotations

from rich.table import Table

from controller.demo.timeline import Timeline
from controller.usecases.replay import replay
from controller.wire.api import LedgerView, RolloutView


def replayed(ledger: LedgerView) -> tuple[int, int]:
    """How many analyses were recomputed from the stored numbers, and how many came out differently."""
    found = list(replay(ledger.constants, ledger.slots))
    return len(found), sum(bool(one.differs) for one in found)


def summary(view: RolloutView, crowd: dict[str, int], timeline: Timeline, checked: int, differing: int) -> Table:
    """The figures of the story."""
    table = Table(title="summary", title_justify="left", show_header=False, box=None, padding=(0, 2))
    canary = [row for row in view.health if row.arm == "canary"]
    control = [row for row in view.health if row.arm == "control"]
    table.add_row("users who came", f"{crowd.get('users', 0):,}")
    table.add_row("events delivered", f"{sum(row.delivered for row in view.health):,}")
    table.add_row("legacy events failed", f"{sum(row.failed for row in control):,}")
    table.add_row("unified events failed, all told", f"{sum(row.failed for row in canary):,}")
    table.add_row("abandoned (users who left)", f"{sum(row.abandoned for row in view.health):,}")
    table.add_row("interrupted (our own process)", f"{sum(row.interrupted for row in view.health):,}")
    for name, at_ms in _times(view):
        table.add_row(name, f"{timeline.seconds(at_ms):.1f} s")
    if view.verification is not None:
        late = _exposed_late(view)
        table.add_row(
            "users given the canary after the rollback was applied", "none" if not late else f"{late} instances"
        )
        table.add_row("rollback", view.verification.sentence)
    table.add_row(
        "analyses replayed from stored numbers", f"{checked} identical" if not differing else f"{differing} DIFFER"
    )
    return table


def _times(view: RolloutView) -> list[tuple[str, int]]:
    found = view.verification
    times = {
        "detected": view.detected_ms,
        "decided": view.decided_ms,
        "applied by the first back end": found.first_applied_ms if found else None,
        "applied by the last back end": found.last_applied_ms if found else None,
        "last canary exposure": found.last_exposure_ms if found and view.decided_ms else None,
        "verified": view.verified_ms,
    }
    return [(name, at_ms) for name, at_ms in times.items() if at_ms is not None]


def _exposed_late(view: RolloutView) -> int:
    return sum("exposure" in missing["why"] for missing in view.verification.missing) if view.verification else 0
