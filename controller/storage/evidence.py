"""Evidence on its way to the ledger: what was reported and waits for the judge, and the units still open."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache

from sqlalchemy import Connection, Executable, delete, func, insert, select, text

from controller.domain.outcomes import Arm
from controller.domain.rollouts import Phase
from controller.domain.tallies import EvidenceKey, Tally
from controller.storage import upserts
from controller.storage.batches import Batch
from controller.storage.tables import evidence_inbox, instances, rollouts
from controller.storage.tables import open_units as gauges

#: The channel on which PostgreSQL tells the leader of failed canary evidence; the payload is the rollout's key.
CHANNEL = "canary_evidence"

_OPEN = tuple(phase.value for phase in (Phase.PROGRESSING, Phase.PAUSED, Phase.ROLLING_BACK))


def taking(connection: Connection, keys: Collection[str]) -> set[str]:
    """Those of these rollouts that take evidence: they exist, have been started and are not over."""
    if not keys:
        return set()
    statement = select(rollouts.c.key).where(rollouts.c.key.in_(sorted(keys)), rollouts.c.phase.in_(_OPEN))
    return set(connection.execute(statement).scalars())


def append(connection: Connection, evidence: Mapping[EvidenceKey, Tally]) -> None:
    """Put evidence into the inbox."""
    rows = [{**key._asdict(), **tally._asdict()} for key, tally in sorted(evidence.items())]
    if rows:
        connection.execute(insert(evidence_inbox), rows)


def notify(connection: Connection, keys: Iterable[str]) -> None:
    """At commit, tell the leader which rollouts have new failures; an embedded database has no other processes."""
    if connection.dialect.name == "postgresql":
        for key in sorted(keys):
            connection.execute(text("SELECT pg_notify(:channel, :key)"), {"channel": CHANNEL, "key": key})


def drain(connection: Connection, rollout: str) -> dict[tuple[int, str, str], Tally]:
    """Take a rollout's evidence out of the inbox, merged by (epoch, arm, stream), in milli-units."""
    columns = (evidence_inbox.c[name] for name in ("epoch", "arm", "stream", "failed", "total"))
    statement = delete(evidence_inbox).where(evidence_inbox.c.rollout == rollout).returning(*columns)
    found: dict[tuple[int, str, str], Tally] = {}
    for epoch, arm, stream, failed, total in connection.execute(statement):
        key = (epoch, arm, stream)
        found[key] = found.get(key, Tally()).plus(Tally(failed, total))
    return found


def pending_failures(connection: Connection) -> set[str]:
    """The rollouts whose canary has failed evidence waiting."""
    statement = select(evidence_inbox.c.rollout).where(
        evidence_inbox.c.arm == Arm.CANARY.value, evidence_inbox.c.failed > 0
    )
    return set(connection.execute(statement.distinct()).scalars())


def replace_open_units(connection: Connection, timely: Iterable[Batch], known: Collection[str]) -> None:
    """Replace the gauges that these reports (oldest first) name, of rollouts that take evidence; the rest stays.

    An instance that closes has no open units left.
    """
    found: dict[tuple[str, str, str, str], int] = {}
    closes: dict[str, bool] = {}
    for batch in timely:
        closes[batch.instance.id] = batch.instance.closed_ms is not None
        for (rollout, arm, stream), count in batch.open_units.items():
            if rollout in known:
                found[rollout, batch.instance.id, arm, stream] = count
    closed = sorted(instance for instance, gone in closes.items() if gone)
    if closed:
        connection.execute(delete(gauges).where(gauges.c.instance.in_(closed)))
    rows = [
        {"rollout": rollout, "instance": instance, "arm": arm, "stream": stream, "open": count}
        for (rollout, instance, arm, stream), count in sorted(found.items())
        if not closes[instance]
    ]
    if rows:
        connection.execute(_replacement(connection.dialect.name), rows)


def open_units(connection: Connection, rollout: str, arm: Arm, contact_since_ms: int) -> dict[str, int]:
    """Units attempted without an outcome yet, by stream, of the instances heard of since a time and not closed."""
    statement = (
        select(gauges.c.stream, func.sum(gauges.c.open))
        .join(instances, instances.c.id == gauges.c.instance)
        .where(
            gauges.c.rollout == rollout,
            gauges.c.arm == arm.value,
            instances.c.closed_ms.is_(None),
            instances.c.last_contact_ms >= contact_since_ms,
        )
        .group_by(gauges.c.stream)
    )
    return {stream: int(count) for stream, count in connection.execute(statement)}


def rollouts_of(batch: Batch) -> set[str]:
    """The rollouts that a report's evidence and gauges are about."""
    return {key.rollout for key in batch.evidence} | {rollout for rollout, _, _ in batch.open_units}


@cache
def _replacement(dialect: str) -> Executable:
    said = upserts.insert(dialect, gauges)
    return said.on_conflict_do_update(index_elements=list(gauges.primary_key), set_={"open": said.excluded.open})
