"""What the controller promises: how fast rollbacks are verified, how often it was wrong, and that notices are told."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import HistogramMetricFamily, Metric
from sqlalchemy import Connection

from controller.domain.leases import Lease
from controller.storage import deliveries, leases, rounds
from controller.web.figures.families import gauge, gauges

#: Upper bounds in seconds; a contact lease of 120 s is where an instance that vanished stops being waited for.
_BOUNDS = (1, 2, 5, 10, 20, 30, 60, 120, 180, 300, 600, 1_800)
_DAY_MS = 86_400_000


def families(connection: Connection, now_ms: int) -> Iterator[Metric]:
    """The families of the whole installation."""
    yield from _judge(connection, now_ms)
    yield _verification(connection)
    now_ms = leases.now(connection, now_ms)
    yield from _lease(leases.current(connection), now_ms)
    yield from _notices(connection, now_ms)


def _judge(connection: Connection, now_ms: int) -> Iterator[Metric]:
    found = rounds.errors(connection, now_ms)
    right = found.rollbacks - found.false - found.unlabelled
    counts: dict[tuple[str, ...], float] = {
        ("true",): right,
        ("false",): found.false,
        ("unlabelled",): found.unlabelled,
    }
    yield gauges("canary_judge_rollbacks", "Rollbacks by the judge, by what people said of them.", ["label"], counts)
    days = found.live_ms / _DAY_MS
    yield gauge("canary_judge_rollout_days", "Days that rollouts were live under a judge that may act.", days)


def _verification(connection: Connection) -> Metric:
    """From detection to verification, over all rollbacks there ever were."""
    took_s = [(verified - detected) / 1000 for detected, verified in rounds.verified(connection)]
    buckets = [(f"{bound:.1f}", float(sum(took <= bound for took in took_s))) for bound in _BOUNDS]
    family = HistogramMetricFamily("canary_rollback_verification_seconds", "From detection to verified.")
    family.add_metric([], [*buckets, ("+Inf", float(len(took_s)))], sum(took_s))
    return family


def _lease(lease: Lease, now_ms: int) -> Iterator[Metric]:
    yield gauge("canary_lease_term", "Term of the leader lease; grows when it is taken over.", lease.term)
    left = max(0, lease.expires_ms - now_ms) / 1000
    yield gauge("canary_lease_remaining_seconds", "How long the leader lease still lasts.", left)


def _notices(connection: Connection, now_ms: int) -> Iterator[Metric]:
    if not deliveries.ready(connection):
        return
    oldest_ms = deliveries.oldest_ms(connection, now_ms)
    late = 0 if oldest_ms is None else max(0, now_ms - oldest_ms) / 1000
    yield gauge("canary_outbox_oldest_seconds", "Age of the oldest notice that should have been told by now.", late)
    waiting = {labels: float(n) for labels, n in sorted(deliveries.counts(connection).items())}
    yield gauges("canary_deliveries", "Deliveries that are open or dead.", ["channel", "state"], waiting)
