"""From the outbox into the lines of the channels, and out of them: each step one transaction of the leader."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from controller.domain.deliveries import Result, State, after, place
from controller.domain.leases import Lease
from controller.domain.notices import DEFAULT_KINDS, ENDINGS, Message, Notice, compose, matches
from controller.storage import channels, deliveries, leases, rollouts, snapshots
from controller.storage.channels import Channel, Subscription
from controller.storage.database import Database
from controller.storage.deliveries import Delivery
from controller.storage.vault import SecretSealed, Vault

#: Notices that one transaction puts into their lines.
_GROUP = 200
#: How long what was delivered is kept, and how many rows one transaction forgets.
KEPT_MS = 30 * 86_400_000
_FORGOTTEN = 1_000


@dataclass(frozen=True, slots=True)
class Job:
    """A delivery that was begun, with everything that is needed to make it.

    Attributes:
        address, secret: opened. key: the idempotency key. repeats: of the same kind, kept quiet before this one.
        unusable: why it cannot be made at all; empty where it can.
    """

    delivery: Delivery
    notice: Notice
    channel: Channel
    message: Message
    address: str
    secret: str
    key: str
    environment: str
    repeats: int = 0
    unusable: str = ""


def busy(database: Database, hanging: Collection[str], now_ms: int) -> bool:
    """Whether there is anything to put into a line or to deliver; only reads."""
    with database.read() as connection:
        return deliveries.ready(connection) and deliveries.anything(connection, hanging, leases.now(connection, now_ms))


def route(database: Database, lease: Lease, now_ms: int) -> int:
    """Put new notices into the line of every channel that is subscribed to them; returns how many notices there were.

    Raises:
        StaleTerm: somebody else leads by now; nothing was written.
    """
    with database.write() as connection:
        leases.check(connection, lease.holder, lease.term)
        found = deliveries.unsent(connection, _GROUP)
        if not found:
            return 0
        now_ms = leases.now(connection, now_ms)
        known = {one.name: one for one in channels.every(connection) if one.enabled}
        listening = channels.subscribed(connection)
        about = _about(connection, found)
        for notice in found:
            for name in _hearing(notice, about.get(notice.name), listening, known):
                _put(connection, notice, known[name], now_ms)
        deliveries.mark_sent(connection, [notice.id for notice in found], now_ms)
    return len(found)


def begin(database: Database, vault: Vault, lease: Lease, hanging: Collection[str], now_ms: int) -> list[Job]:
    """Begin the next delivery of each channel that is not busy.

    Raises:
        StaleTerm: somebody else leads by now; nothing was written.
    """
    with database.write() as connection:
        leases.check(connection, lease.holder, lease.term)
        begun = deliveries.begin_next(connection, hanging, leases.now(connection, now_ms))
        told = deliveries.notices(connection, {one.notice for one in begun})
        environment = snapshots.environment(connection)
        return [_job(connection, vault, one, deliveries.notice_of(told, one), environment) for one in begun]


def settle(database: Database, job: Job, result: Result, now_ms: int) -> State | None:
    """What came of an attempt; None where it was begun again meanwhile, so that this word counts for nothing."""
    one = job.delivery
    with database.write() as connection:
        now_ms = leases.now(connection, now_ms)
        state, at_ms = after(result, one.attempts, one.since_ms, now_ms)
        return state if deliveries.settle(connection, one, state, at_ms, result.error, now_ms) else None


def tidy(database: Database, vault: Vault, lease: Lease, now_ms: int) -> int:
    """Forget what was delivered long ago, and seal secrets with the newest key; returns how many rows went.

    Raises:
        StaleTerm: somebody else leads by now; nothing was written.
    """
    with database.write() as connection:
        leases.check(connection, lease.holder, lease.term)
        if not deliveries.ready(connection):
            return 0
        for channel in channels.every(connection):
            if not (vault.is_current(channel.address) and vault.is_current(channel.secret)):
                _reseal(connection, vault, channel)
        return deliveries.forget(connection, leases.now(connection, now_ms) - KEPT_MS, _FORGOTTEN)


def _about(connection: Connection, found: Collection[Notice]) -> dict[str, tuple[str, str]]:
    """Flag and channel of the plan, by rollout."""
    keys = {notice.name for notice in found if notice.subject.startswith("rollout/")}
    return {key: (one.flag_key, one.plan.channel) for key, one in rollouts.some(connection, keys).items()}


def _hearing(
    notice: Notice,
    about: tuple[str, str] | None,
    listening: Collection[Subscription],
    known: Collection[str],
) -> list[str]:
    """The channels that hear of a notice: those subscribed to it, and the one that the rollout's plan names."""
    area = notice.subject.partition("/")[0]
    flag = about[0] if area == "rollout" and about else notice.name if area == "flag" else ""
    found = {one.channel for one in listening if one.flag_key in ("", flag) and matches(one.kinds, notice.kind)}
    if area == "rollout" and about and matches(DEFAULT_KINDS, notice.kind):
        found.add(about[1])
    return sorted(found & set(known))


def _put(connection: Connection, notice: Notice, channel: Channel, now_ms: int) -> None:
    waits = deliveries.deferred(connection, channel.name, notice.topic)
    told_ms = deliveries.told_ms(connection, channel.name, notice.topic, notice.kind)
    before = None if waits is None else (waits.kind, waits.due_ms)
    placed = place(notice.kind, before, told_ms, channel.quiet_ms, now_ms)
    if placed.silences and waits is not None:
        deliveries.silence(connection, waits.id, now_ms)
    if notice.kind in ENDINGS:
        deliveries.silence_about(connection, channel.name, notice.subject, now_ms)
    deliveries.put(connection, notice, channel.name, placed, now_ms)


def _job(connection: Connection, vault: Vault, one: Delivery, notice: Notice, environment: str) -> Job:
    channel = channels.get(connection, one.channel)
    unusable = ""
    try:
        address, secret = vault.open(channel.address), vault.open(channel.secret)
    except SecretSealed as error:
        address, secret, unusable = "", "", error.detail
    return Job(
        delivery=one,
        notice=notice,
        channel=channel,
        message=compose(notice, environment),
        address=address,
        secret=secret,
        key=deliveries.key(connection, one.notice, one.channel),
        environment=environment,
        repeats=deliveries.repeats(connection, one),
        unusable=unusable,
    )


def _reseal(connection: Connection, vault: Vault, channel: Channel) -> None:
    try:
        address, secret = vault.open(channel.address), vault.open(channel.secret)
    except SecretSealed:
        return  # its deliveries say what is missing
    channels.reseal(connection, channel.name, vault.seal(address), vault.seal(secret))
