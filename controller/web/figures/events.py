"""What became of events, from the windows: the control against its floor, and attempts whose outcome never came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric
from sqlalchemy import Connection

from controller.domain.outcomes import Arm
from controller.domain.rollouts import Rollout
from controller.domain.tallies import Counts
from controller.storage import windows
from controller.web.figures.families import gauges

#: The control is looked at over this; outcomes of windows older than `SETTLED_MS` will not come any more.
OVER_MS, SETTLED_MS = 3_600_000, 660_000
#: Windows are summed up this often at most, however many ask.
KEPT_MS = 15_000


class Events:
    """Sums of windows, kept for a few seconds: a scrape must not cost more the more replicas are scraped."""

    def __init__(self) -> None:
        self._until_ms = 0
        self._kept: list[Metric] = []

    def families(self, connection: Connection, known: Sequence[Rollout], now_ms: int) -> Iterator[Metric]:
        """The families of live rollouts."""
        if not self._until_ms - KEPT_MS <= now_ms < self._until_ms:
            self._kept = list(_families(connection, [r for r in known if r.phase.live], now_ms))
            self._until_ms = now_ms + KEPT_MS
        yield from self._kept


def _families(connection: Connection, live: Sequence[Rollout], now_ms: int) -> Iterator[Metric]:
    success: dict[tuple[str, ...], float] = {}
    unknown: dict[tuple[str, ...], float] = {}
    for rollout in live:
        lately = windows.health(connection, rollout.flag_key, now_ms - OVER_MS)
        fresh = windows.health(connection, rollout.flag_key, now_ms - SETTLED_MS)
        arms = {Arm.CONTROL: rollout.control, Arm.CANARY: rollout.canary}
        control = _sum(lately, rollout, rollout.control)
        if control.delivered + control.failed:
            success[rollout.key,] = control.delivered / (control.delivered + control.failed)
        for arm, variant in arms.items():
            whole, part = _sum(lately, rollout, variant), _sum(fresh, rollout, variant)
            settled = Counts(*(a - b for a, b in zip(whole, part, strict=True)))
            if settled.attempts:
                unknown[rollout.key, arm.value] = _unknown(settled) / settled.attempts
    yield gauges("canary_control_success_ratio", "The control's success in the last hour.", ["rollout"], success)
    text = "Attempts of the last hour, older than 11 minutes, without an outcome."
    yield gauges("canary_outcomes_unknown_ratio", text, ["rollout", "arm"], unknown)


def _unknown(counts: Counts) -> int:
    return max(0, counts.attempts - counts.delivered - counts.failed - counts.abandoned - counts.interrupted)


def _sum(found: dict[tuple[str, str], Counts], rollout: Rollout, variant: str) -> Counts:
    total = Counts()
    for event in rollout.plan.events:
        total = total.plus(found.get((variant, event), Counts()))
    return total
