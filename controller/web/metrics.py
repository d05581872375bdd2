"""What Prometheus reads of the rollouts' state: from the database, at each scrape, with bounded labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select

from controller.clock import Clock
from controller.domain.bucketing import WHOLE
from controller.domain.errors import Unavailable
from controller.domain.instances import InstanceState
from controller.domain.judge.findings import Evidence
from controller.domain.plans import DEFAULT_LEASE_MS
from controller.domain.rollouts import Phase, Rollout
from controller.storage import instances, ledger, rollouts, snapshots
from controller.storage.database import Database
from controller.storage.tables import decisions

#: Finished rollouts beyond the newest ones are left out of a scrape.
_MOST_ROLLOUTS = 200


class StateCollector(Collector):
    """Reads rollouts, evidence and instances when scraped; a database that is away leaves them out."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def describe(self) -> list[Metric]:
        """Nothing in advance: registering must not need the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families of the present state."""
        try:
            with self._database.read() as connection:
                families = list(_families(connection, self._clock()))
        except Unavailable:
            return
        yield from families


def _families(connection: Connection, now_ms: int) -> Iterator[Metric]:
    known = rollouts.every(connection)[:_MOST_ROLLOUTS]
    yield _of_rollouts("canary_rollout_share_ratio", "Canary share.", known, lambda r: r.weight / WHOLE)
    yield _phases(known)
    yield _evidence(connection, known)
    yield _unverified("canary_rollback_unverified", "1 while a rollback is not verified.", known, lambda _: 1)
    yield _unverified(
        "canary_rollback_unverified_seconds",
        "Seconds since a rollback that is not verified was decided.",
        known,
        lambda r: (now_ms - (r.decided_ms or now_ms)) / 1000,
    )
    yield _decisions(connection, {r.key for r in known})
    revision = GaugeMetricFamily("canary_snapshot_revision", "Newest published revision.")
    revision.add_metric([], snapshots.latest_revision(connection))
    yield revision
    yield _instances(connection, now_ms)


def _of_rollouts(name: str, text: str, known: list[Rollout], value: Callable[[Rollout], float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["rollout"])
    for rollout in known:
        family.add_metric([rollout.key], value(rollout))
    return family


def _phases(known: list[Rollout]) -> Metric:
    family = GaugeMetricFamily("canary_rollout_phase", "1 for the present phase.", labels=["rollout", "phase"])
    for rollout in known:
        for phase in Phase:
            family.add_metric([rollout.key, phase.value], int(rollout.phase is phase))
    return family


def _evidence(connection: Connection, known: list[Rollout]) -> Metric:
    text = "Evidence against the canary over its line; 1 convicts."
    family = GaugeMetricFamily("canary_evidence_ratio", text, labels=["rollout", "guard", "stream"])
    latest = ledger.latest_analyses(connection, {rollout.key for rollout in known if rollout.phase.live})
    for key, row in sorted(latest.items()):
        for stored in row["evidence"]:
            evidence = Evidence(**stored)
            family.add_metric([key, evidence.guard, evidence.stream], evidence.permille_of_line / 1000)
    return family


def _unverified(name: str, text: str, known: list[Rollout], value: Callable[[Rollout], float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["rollout"])
    for rollout in known:
        family.add_metric([rollout.key], value(rollout) if rollout.phase is Phase.ROLLING_BACK else 0)
    return family


def _decisions(connection: Connection, known: set[str]) -> Metric:
    family = CounterMetricFamily("canary_decisions", "Acts on rollouts.", labels=["rollout", "action"])
    counted = select(decisions.c.rollout, decisions.c.action, func.count()).group_by(
        decisions.c.rollout, decisions.c.action
    )
    for rollout, action, count in connection.execute(counted):
        if rollout in known:
            family.add_metric([rollout, action], count)
    return family


def _instances(connection: Connection, now_ms: int) -> Metric:
    family = GaugeMetricFamily("canary_instances", "Client instances by state.", labels=["state"])
    counts = {"live": 0, "expired": 0, "unverifiable": 0}
    for instance in instances.every(connection):
        state = instance.state(now_ms, DEFAULT_LEASE_MS)
        if state is InstanceState.LIVE:
            counts["live" if instance.reports else "unverifiable"] += 1
        elif state is InstanceState.EXPIRED:
            counts["expired"] += 1
    for label, count in counts.items():
        family.add_metric([label], count)
    return family
