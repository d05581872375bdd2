"""A rollout's own page: where it stands and why, its plan, who has confirmed, what failed, and what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from controller.domain.instances import GRACE_MS, Instance
from controller.domain.outcomes import Arm
from controller.domain.plans import DEFAULT_LEASE_MS
from controller.domain.rollouts import Phase, Rollout
from controller.storage import instances, latencies, outcomes, rollouts
from controller.storage.outcomes import Outcome
from controller.usecases.views.explaining import outlook_view
from controller.usecases.views.health import LEAD_MS, health_since
from controller.usecases.views.history import round_views, timeline
from controller.usecases.views.next_steps import NextStep, next_step
from controller.usecases.views.rollouts import rollout_views
from controller.wire.api.judging import DecisionView, OutlookView, RoundView
from controller.wire.api.rollouts import EventHealth, RolloutView

#: Acts, failures and unconfirmed instances on one page, and latencies that percentiles are taken from.
MOST_ACTS, MOST_FAILURES, MOST_INSTANCES, MOST_LATENCIES = 100, 12, 50, 5_000
#: What was delivered is added up over the stage, and over no more than this.
LONGEST_MS = 6 * 3_600_000


@dataclass(frozen=True, slots=True)
class Latency:
    """How long deliveries took on one arm, in milliseconds, of the newest `count` of them."""

    event_type: str
    arm: str
    count: int
    median_ms: int
    p95_ms: int
    p99_ms: int


@dataclass(frozen=True, slots=True)
class Serving:
    """A client that serves the flag: whether it has applied the revision that told the present share."""

    id: str
    revision: int
    reports: bool
    applied: bool
    last_contact_ms: int
    app_version: str


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything on the page.

    Attributes:
        health_from_ms: since when deliveries are added up.
        clients: those that have not applied the present share first; `applied` of `clients_in_all` have.
    """

    view: RolloutView
    next: NextStep
    health: list[EventHealth]
    health_from_ms: int
    outlook: OutlookView | None
    latencies: list[Latency]
    failures: list[Outcome]
    clients: list[Serving]
    clients_in_all: int
    applied: int
    rounds: list[RoundView]
    timeline: list[DecisionView]


def detail(connection: Connection, key: str, now_ms: int) -> Detail:
    """The page of a rollout as of now.

    Raises:
        UnknownRollout: there is none with this key.
    """
    rollout = rollouts.get(connection, key)
    [view] = rollout_views(connection, [rollout], now_ms)
    since_ms = _since(rollout, now_ms)
    clients = _clients(connection, rollout, now_ms)
    return Detail(
        view=view,
        next=next_step(view, now_ms),
        health=health_since(connection, rollout, since_ms),
        health_from_ms=since_ms,
        outlook=outlook_view(connection, rollout, now_ms),
        latencies=_latencies(connection, rollout, now_ms),
        failures=_failures(connection, rollout),
        clients=sorted(clients, key=lambda one: (one.applied, one.id))[:MOST_INSTANCES],
        clients_in_all=len(clients),
        applied=sum(one.applied for one in clients),
        rounds=round_views(connection, key),
        timeline=timeline(connection, key, MOST_ACTS),
    )


def quantile(sorted_values: Sequence[int], share: float) -> int:
    """The smallest value that at least a share of the values does not exceed (nearest rank)."""
    return sorted_values[max(0, -(-int(share * 1000) * len(sorted_values) // 1000) - 1)]


def _since(rollout: Rollout, now_ms: int) -> int:
    if rollout.started_ms is None:
        return now_ms - LEAD_MS
    end_ms = rollout.ended_ms or now_ms
    begun_ms = (rollout.stage_started_ms if rollout.phase.live else None) or rollout.started_ms
    return max(begun_ms, end_ms - LONGEST_MS)


def _latencies(connection: Connection, rollout: Rollout, now_ms: int) -> list[Latency]:
    since_ms = (rollout.ended_ms or now_ms) - LEAD_MS
    found = latencies.newest(connection, rollout.flag_key, since_ms, now_ms, MOST_LATENCIES)
    return [
        _latency(event, arm, sorted(values))
        for event in rollout.plan.events
        for arm, variant in ((Arm.CANARY, rollout.canary), (Arm.CONTROL, rollout.control))
        if (values := found.get((variant, event)))
    ]


def _latency(event: str, arm: Arm, values: list[int]) -> Latency:
    return Latency(event, arm.value, len(values), *(quantile(values, share) for share in (0.5, 0.95, 0.99)))


def _failures(connection: Connection, rollout: Rollout) -> list[Outcome]:
    if rollout.started_ms is None:
        return []
    return outcomes.newest_failures(
        connection, rollout.flag_key, rollout.canary, rollout.started_ms - LEAD_MS, MOST_FAILURES
    )


def _clients(connection: Connection, rollout: Rollout, now_ms: int) -> list[Serving]:
    if rollout.phase in (Phase.DRAFT, Phase.ABORTED):
        return []
    live = instances.live_instances(connection, now_ms - max(DEFAULT_LEASE_MS, rollout.plan.lease_ms) - GRACE_MS)
    mine = instances.serving(connection, [rollout.flag_key]).get(rollout.flag_key, set())
    return [_serving(one, rollout.revision or 0) for one in live if one.id in mine or not one.reports]


def _serving(one: Instance, revision: int) -> Serving:
    applied = one.revision >= revision
    return Serving(one.id, one.revision, one.reports, applied, one.last_contact_ms, one.app_version)
