"""The dashboard's first page: every rollout, who evaluates them, which clients are there, and the flags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from controller.domain.instances import GRACE_MS
from controller.domain.leases import Lease
from controller.domain.plans import DEFAULT_LEASE_MS
from controller.domain.rollouts import Phase, Rollout
from controller.storage import instances, leases, rollouts, snapshots
from controller.usecases.views.flags import flag_page
from controller.usecases.views.history import timeline
from controller.usecases.views.rollouts import rollout_view
from controller.wire.api.flags import FlagView
from controller.wire.api.judging import DecisionView
from controller.wire.api.rollouts import RolloutView

#: Rollouts shown in full, rollouts shown as a row, flags shown, and acts shown of one rollout.
MOST_CARDS, MOST_ROWS, MOST_FLAGS, MOST_ACTS = 10, 50, 100, 20


@dataclass(frozen=True, slots=True)
class Card:
    """A rollout in full, with its last acts, the newest first."""

    view: RolloutView
    timeline: list[DecisionView]


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
class Overview:
    """Everything on the first page."""

    standing: Standing
    cards: list[Card]
    others: list[RolloutView]
    flags: list[FlagView]


def overview(connection: Connection, now_ms: int) -> Overview:
    """The first page as of now."""
    every = rollouts.every(connection)
    first = _in_full(every)
    others = [rollout for rollout in every if rollout not in first][:MOST_ROWS]
    return Overview(
        standing(connection, now_ms),
        [card(connection, rollout, now_ms) for rollout in first],
        [rollout_view(connection, rollout, now_ms, with_health=False) for rollout in others],
        flag_page(connection, 0, MOST_FLAGS).items,
    )


def card(connection: Connection, rollout: Rollout, now_ms: int, acts: int = MOST_ACTS) -> Card:
    """One rollout in full."""
    return Card(rollout_view(connection, rollout, now_ms), timeline(connection, rollout.key, acts))


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


def _in_full(every: Sequence[Rollout]) -> list[Rollout]:
    """What is under way, then the newest of each flag that has nothing under way."""
    under_way = [rollout for rollout in every if rollout.phase.live or rollout.phase is Phase.ROLLING_BACK]
    seen = {rollout.flag_key for rollout in under_way}
    newest = []
    for rollout in every:
        if rollout.flag_key not in seen:
            seen.add(rollout.flag_key)
            newest.append(rollout)
    return [*under_way, *newest][:MOST_CARDS]
