"""Evidence on its way to the ledger: what was reported and waits for the judge, and the units still open."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, Executable, delete, func, insert, select, text

from controller.domain.closing import Arrived
from controller.domain.outcomes import Arm
from controller.domain.rollouts import UNFINISHED
from controller.domain.samples import ACTIVE_USER
from controller.domain.tallies import EvidenceKey, Proof
from controller.storage import upserts
from controller.storage.batches import Batch
from controller.storage.tables import evidence_inbox, instances, rollouts
from controller.storage.tables import open_units as gauges

#: The channel on which PostgreSQL tells the leader of failed canary evidence; the payload is the rollout's key.
CHANNEL = "canary_evidence"

_OPEN = tuple(phase.value for phase in UNFINISHED)
_ARRIVED = [
    evidence_inbox.c[name] for name in ("rollout", "epoch", "arm", "stream", "failed", "total", "instance", "users")
]


def taking(connection: Connection, keys: Collection[str]) -> set[str]:
    """Those of these rollouts that take evidence: they exist, have been started and are not over."""
    if not keys:
        return set()
    statement = select(rollouts.c.key).where(rollouts.c.key.in_(sorted(keys)), rollouts.c.phase.in_(_OPEN))
    return set(connection.execute(statement).scalars())


def append(connection: Connection, evidence: Mapping[tuple[EvidenceKey, str], Proof]) -> None:
    """Put evidence into the inbox, by its key and the instance that it came from."""
    rows = [
        {**key._asdict(), **proof.tally._asdict(), "instance": instance, "users": ",".join(proof.users)}
        for (key, instance), proof in sorted(evidence.items())
    ]
    if rows:
        connection.execute(insert(evidence_inbox), rows)


def notify(connection: Connection, keys: Iterable[str]) -> None:
    """At commit, tell the leader which rollouts have new failures; an embedded database has no other processes."""
    if connection.dialect.name == "postgresql":
        for key in sorted(keys):
            connection.execute(text("SELECT pg_notify(:channel, :key)"), {"channel": CHANNEL, "key": key})


def drain(connection: Connection, keys: Collection[str]) -> dict[str, list[Arrived]]:
    """Take the evidence of some rollouts out of the inbox."""
    statement = delete(evidence_inbox).where(evidence_inbox.c.rollout.in_(sorted(keys))).returning(*_ARRIVED)
    found: dict[str, list[Arrived]] = {}
    for rollout, epoch, arm, stream, failed, total, instance, users in connection.execute(statement):
        named = tuple(users.split(",")) if users else ()
        found.setdefault(rollout, []).append(Arrived(epoch, arm, stream, failed, total, instance, named))
    return found


def give_back(connection: Connection, rollout: str, arrived: Iterable[Arrived]) -> None:
    """Put evidence back that could not be judged."""
    rows = [{**row._asdict(), "rollout": rollout, "users": ",".join(row.users)} for row in arrived]
    if rows:
        connection.execute(insert(evidence_inbox), rows)


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
    rows: list[dict[str, Any]] = [
        {"rollout": rollout, "instance": instance, "arm": arm, "stream": stream, "open": count}
        for (rollout, instance, arm, stream), count in sorted(found.items())
        if not closes[instance]
    ]
    if rows:
        connection.execute(_replacement(connection.dialect.name), rows)
    if any(row["stream"].startswith(ACTIVE_USER) and not row["open"] for row in rows):  # others come in their place
        idle = (gauges.c.instance.in_(sorted(closes))) & gauges.c.stream.startswith(ACTIVE_USER) & (gauges.c.open == 0)
        connection.execute(delete(gauges).where(idle))


def open_units(
    connection: Connection, keys: Collection[str], contact_since_ms: int
) -> dict[str, dict[tuple[str, str], int]]:
    """Units attempted without an outcome yet, by rollout and (arm, stream).

    Only instances heard of since a time and not closed count: what the others held is unknown by now.
    """
    statement = (
        select(gauges.c.rollout, gauges.c.arm, gauges.c.stream, func.sum(gauges.c.open))
        .join(instances, instances.c.id == gauges.c.instance)
        .where(
            gauges.c.rollout.in_(sorted(keys)),
            instances.c.closed_ms.is_(None),
            instances.c.last_contact_ms >= contact_since_ms,
        )
        .group_by(gauges.c.rollout, gauges.c.arm, gauges.c.stream)
    )
    found: dict[str, dict[tuple[str, str], int]] = {}
    for rollout, arm, stream, count in connection.execute(statement):
        found.setdefault(rollout, {})[arm, stream] = int(count)
    return found


def rollouts_of(batch: Batch) -> set[str]:
    """The rollouts that a report's evidence and gauges are about."""
    named = {key.rollout for key in batch.evidence} | {rollout for rollout, _, _ in batch.open_units}
    return named | {key.rollout for key in batch.users}


@cache
def _replacement(dialect: str) -> Executable:
    said = upserts.insert(dialect, gauges)
    return said.on_conflict_do_update(index_elements=list(gauges.primary_key), set_={"open": said.excluded.open})
