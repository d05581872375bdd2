"""Published snapshots: built from the rows of one transaction, numbered without gaps or repeats."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from sqlalchemy import Connection, delete, func, insert, select, text, update

from controller.domain.errors import TooLarge
from controller.domain.flags import Flag
from controller.domain.judge.constants import UnknownConstants
from controller.domain.judge.local import local_constants
from controller.domain.plans import Breaker, Mode
from controller.domain.rollouts import Phase, Rollout
from controller.domain.snapshots import PublishedBreaker, PublishedFlag, PublishedRollout, Snapshot
from controller.domain.targeting import withdrawn
from controller.storage import constants as judges
from controller.storage import flags as flag_rows
from controller.storage import quarantines
from controller.storage import rollouts as rollout_rows
from controller.storage import segments as segment_rows
from controller.storage.tables import counters, installation, rounds, snapshots
from controller.wire.snapshots import MOST_BYTES, to_wire

#: The channel on which PostgreSQL tells all replicas of a new revision.
CHANNEL = "canary_snapshot"

_KEPT = 200


@dataclass(frozen=True, slots=True)
class Published:
    """A snapshot as it goes over the wire."""

    revision: int
    body: bytes
    etag: str


def lock(connection: Connection) -> int:
    """Take the next revision; holding its row keeps every other publisher waiting until this transaction ends."""
    statement = update(counters).where(counters.c.name == "revision").values(value=counters.c.value + 1)
    return int(connection.execute(statement.returning(counters.c.value)).scalar_one())


def hold(connection: Connection) -> None:
    """Keep every other publisher waiting until this transaction ends, without taking a revision."""
    connection.execute(update(counters).where(counters.c.name == "revision").values(value=counters.c.value))


def publish(connection: Connection, now_ms: int) -> int:
    """Write a new snapshot of all flags, segments and live rollouts; returns its revision.

    Raises:
        TooLarge: clients would not read it; nothing of the change that asked for it may be kept.
    """
    revision = lock(connection)
    gone, held = withdrawn_variants(connection), quarantines.versions(connection)
    live = {
        rollout.flag_key: _rollout(rollout, held.get(rollout.flag_key, ()), _breaker(connection, rollout))
        for rollout in rollout_rows.unfinished(connection)
        if rollout.phase.published
    }
    flags = {f.key: _flag(f, live.get(f.key), gone.get(f.key, frozenset())) for f in flag_rows.every(connection)}
    segments = {segment.key: segment.when for segment in segment_rows.every(connection)}
    body = to_wire(Snapshot(environment(connection), revision, flags, segments))
    if len(body) > MOST_BYTES:
        raise TooLarge(
            f"all flags together would be {len(body):,} bytes and clients read {MOST_BYTES:,}; shorten lists of keys"
        )
    etag = blake2b(body, digest_size=16).hexdigest()
    connection.execute(insert(snapshots).values(revision=revision, body=body, etag=etag, at_ms=now_ms))
    connection.execute(delete(snapshots).where(snapshots.c.revision <= revision - _KEPT))
    if connection.dialect.name == "postgresql":
        connection.execute(
            text("SELECT pg_notify(:channel, :revision)"), {"channel": CHANNEL, "revision": str(revision)}
        )
    return revision


def latest(connection: Connection) -> Published | None:
    """The newest snapshot."""
    columns = (snapshots.c.revision, snapshots.c.body, snapshots.c.etag)
    row = connection.execute(select(*columns).order_by(snapshots.c.revision.desc()).limit(1)).one_or_none()
    return None if row is None else Published(row.revision, bytes(row.body), row.etag)


def latest_revision(connection: Connection) -> int:
    """The newest revision; 0 before the first."""
    newest = select(snapshots.c.revision).order_by(snapshots.c.revision.desc()).limit(1)
    return int(connection.execute(newest).scalar_one_or_none() or 0)


def revision_at(connection: Connection, at_ms: int) -> int:
    """The newest revision that was published by this time; 0 before the first."""
    newest = select(func.max(snapshots.c.revision)).where(snapshots.c.at_ms <= at_ms)
    return int(connection.execute(newest).scalar_one() or 0)


def environment(connection: Connection) -> str:
    """The name of the environment that this installation serves."""
    statement = select(installation.c.value).where(installation.c.name == "environment")
    return connection.execute(statement).scalar_one_or_none() or "default"


def hash_key(connection: Connection) -> bytes:
    """The installation's secret, made when its schema was."""
    statement = select(installation.c.value).where(installation.c.name == "hash_key")
    return bytes.fromhex(connection.execute(statement).scalar_one())


def withdrawn_variants(connection: Connection) -> dict[str, frozenset[str]]:
    """By flag, the canaries that a rollback has taken from everybody and no round has begun with since."""
    begun = select(rounds.c.flag_key, rounds.c.canary, rounds.c.ended_as)
    found: dict[str, set[str]] = {}
    for row in connection.execute(begun.order_by(rounds.c.started_ms, rounds.c.rollout, rounds.c.round)):
        gone = found.setdefault(row.flag_key, set())
        if row.ended_as in (Phase.ROLLING_BACK, Phase.ROLLED_BACK):
            gone.add(row.canary)
        else:
            gone.discard(row.canary)
    return {flag: frozenset(gone) for flag, gone in found.items() if gone}


def _flag(flag: Flag, rollout: PublishedRollout | None, gone: frozenset[str]) -> PublishedFlag:
    gone -= {flag.served}  # somebody has decided since that everybody gets it
    return PublishedFlag(
        key=flag.key,
        variants=flag.variants,
        control=flag.control,
        served=flag.served,
        enabled=flag.enabled,
        version=flag.version,
        rollout=rollout,
        targeting=withdrawn(flag.targeting, gone, flag.control) if gone else flag.targeting,
    )


def _rollout(rollout: Rollout, quarantined: tuple[str, ...], breaker: PublishedBreaker | None) -> PublishedRollout:
    return PublishedRollout(
        key=rollout.key,
        control=rollout.control,
        canary=rollout.canary,
        weight=rollout.weight,
        salt=rollout.salt,
        epoch=rollout.epoch,
        unit=rollout.plan.unit,
        events=rollout.plan.events,
        lease_ms=rollout.plan.lease_ms,
        metrics=tuple(family for family in rollout.plan.families if family.metric.timed),
        quarantined=quarantined,
        breaker=breaker,
    )


def _breaker(connection: Connection, rollout: Rollout) -> PublishedBreaker | None:
    """What clients judge by; a rollout that only observes makes none of them act."""
    if rollout.constants is None:
        return None
    try:
        constants = local_constants(judges.get(connection, rollout.constants).canonical())
    except UnknownConstants:
        return None
    observing = rollout.plan.mode is Mode.OBSERVE
    mode = Breaker.REPORT if observing else rollout.plan.breaker
    return PublishedBreaker(mode, rollout.round, constants) if constants else None
