"""What it came to, in figures, and the replay of every decision."""

from __future__ import annotations

from rich.table import Table

from controller.demo.options import CANARY, FLAG
from controller.demo.timeline import Timeline
from controller.usecases.replay import replay
from controller.wire.api.judging import LedgerView
from controller.wire.api.people import InstanceView
from controller.wire.api.rollouts import RolloutView


def replayed(ledger: LedgerView) -> tuple[int, int]:
    """How many analyses were recomputed from the stored numbers, and how many came out differently."""
    found = list(replay(ledger.rounds, ledger.slots))
    return len(found), sum(bool(one.differs) for one in found)


def exposed_after(instances: list[InstanceView]) -> int:
    """How often anybody was given the canary since the back ends applied the newest revision, by their own count."""
    arm = f"{FLAG}/{CANARY}"
    return sum(instance.since_applied.get(arm, 0) for instance in instances)


def summary(view: RolloutView, crowd: dict[str, int], timeline: Timeline, replay_text: str, exposed: int) -> Table:
    """The figures of the story; `exposed` counts canary exposures after a rollback."""
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
        given = f"{exposed:,} times" if exposed else "to nobody"
        table.add_row("canary given after the rollback was applied", given)
        table.add_row("rollback", view.verification.sentence)
    table.add_row("analyses replayed from stored numbers", replay_text)
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
