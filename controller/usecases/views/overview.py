"""The dashboard's first page: what needs a person first, then what is under way, then the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from controller.domain.instances import GRACE_MS
from controller.domain.leases import Lease
from controller.domain.plans import DEFAULT_LEASE_MS
from controller.domain.rollouts import Phase, Rollout
from controller.domain.windows import window_start
from controller.storage import instances, leases, rollouts, snapshots, windows
from controller.usecases.views.health import event_health
from controller.usecases.views.next_steps import NextStep, needs_attention, next_step
from controller.usecases.views.rollouts import rollout_views
from controller.wire.api.rollouts import EventHealth, RolloutView

#: Rollouts that are neither under way nor drafts are shown up to this; the page says how many it leaves out.
MOST_ENDED = 30
#: Health is that of the last minutes. Windows cost time to add up, so where much is under way it is fewer minutes.
FEW, LONG_MS, SHORT_MS = 40, 600_000, 120_000


@dataclass(frozen=True, slots=True)
class Standing:
    """The controller and its clients.

    Attributes:
        leader: who evaluates; None when nobody does at this moment.
        revisions: live instances by the revision they have applied, the newest revision first.
    """

    environment: str
    revision: int
    leader: Lease | None
    revisions: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Row:
    """A rollout on the first page.

    Attributes:
        health: each event on both arms over the last minutes, of what is under way.
        evidence_percent: the most evidence against the canary of all its streams, in per cent of its line.
    """

    view: RolloutView
    next: NextStep
    health: list[EventHealth] = field(default_factory=list)
    evidence_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on the first page; `health_ms` is what its health covers, `left_out` how many ended ones are not."""

    standing: Standing
    health_ms: int
    attention: list[Row]
    under_way: list[Row]
    drafts: list[Row]
    ended: list[Row]
    left_out: int


def overview(connection: Connection, now_ms: int, wanted: str = "", most_ended: int = MOST_ENDED) -> Overview:
    """The first page as of now; `wanted` keeps rollouts whose key, flag, owner or phase contains it."""
    every = [rollout for rollout in rollouts.every(connection) if _fits(rollout, wanted)]
    over = [rollout for rollout in every if rollout.phase.final]
    shown = [rollout for rollout in every if not rollout.phase.final] + over[:most_ended]
    busy = {rollout.flag_key for rollout in shown if not rollout.phase.final and rollout.phase is not Phase.DRAFT}
    health_ms = LONG_MS if len(busy) <= FEW else SHORT_MS
    rows = _rows(connection, shown, busy, now_ms, health_ms)
    attention = [row for row in rows if needs_attention(row.view)]
    calm = [row for row in rows if not needs_attention(row.view)]
    return Overview(
        standing=standing(connection, now_ms),
        health_ms=health_ms,
        attention=sorted(attention, key=_urgency),
        under_way=[row for row in calm if row.view.flag in busy and not Phase(row.view.phase).final],
        drafts=[row for row in calm if row.view.phase == Phase.DRAFT and row.view.flag not in busy],
        ended=[row for row in calm if Phase(row.view.phase).final],
        left_out=max(0, len(over) - most_ended),
    )


def standing(connection: Connection, now_ms: int) -> Standing:
    """The controller and its clients as of now."""
    lease = leases.current(connection)
    live = instances.live_instances(connection, now_ms - DEFAULT_LEASE_MS - GRACE_MS)
    return Standing(
        environment=snapshots.environment(connection),
        revision=snapshots.latest_revision(connection),
        leader=lease if lease.expires_ms > leases.now(connection, now_ms) else None,
        revisions=sorted(Counter(instance.revision for instance in live).items(), reverse=True),
    )


def _rows(
    connection: Connection, found: Sequence[Rollout], busy: Collection[str], now_ms: int, health_ms: int
) -> list[Row]:
    counts = windows.health_of_flags(connection, busy, window_start(now_ms - health_ms)) if busy else {}
    rows = []
    for rollout, view in zip(found, rollout_views(connection, found, now_ms), strict=True):
        streams = view.analysis.evidence if view.analysis is not None and rollout.phase.live else []
        live = rollout.flag_key in busy and not rollout.phase.final and rollout.phase is not Phase.DRAFT
        rows.append(
            Row(
                view=view,
                next=next_step(view, now_ms),
                health=event_health(rollout, counts.get(rollout.flag_key, {})) if live else [],
                evidence_percent=max((one.percent_of_line for one in streams), default=None),
            )
        )
    return rows


def _fits(rollout: Rollout, wanted: str) -> bool:
    words = wanted.casefold().split()
    text = " ".join((rollout.key, rollout.flag_key, rollout.plan.owner, rollout.phase.value.replace("_", " ")))
    return all(word in text.casefold() for word in words)


def _urgency(row: Row) -> tuple[int, str]:
    """Rollbacks under way first, then failing ones, then what has an alert, then what waits for a person."""
    view = row.view
    failing = view.analysis is not None and view.analysis.verdict == "fail"
    ranks = (view.phase == Phase.ROLLING_BACK, failing, bool(view.alerts))
    return (next((at for at, holds in enumerate(ranks) if holds), len(ranks)), view.key)
