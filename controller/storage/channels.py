"""Channels and subscriptions as rows; what is secret of them is sealed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from controller.domain.errors import AlreadyExists, ChangedMeanwhile, NotFound
from controller.storage.tables import channels, deliveries, subscriptions

#: How long repeats are kept quiet where nobody has said.
QUIET_MS = 1_800_000


class UnknownChannel(NotFound):
    """No channel has this name."""

    code = "unknown_channel"


@dataclass(frozen=True, slots=True)
class Channel:
    """A place that notices are sent to.

    Attributes:
        kind: `webhook` (our own, signed) or `apprise`.
        address, secret: sealed. shown: the address without what is secret in it.
        quiet_ms: how long repeats are kept quiet.
    """

    name: str
    kind: str
    address: str
    secret: str
    shown: str
    enabled: bool = True
    quiet_ms: int = QUIET_MS
    description: str = ""
    version: int = 1
    created_ms: int = 0
    updated_ms: int = 0


@dataclass(frozen=True, slots=True)
class Subscription:
    """Which kinds of notices a channel hears, of one flag or (with an empty key) of all."""

    id: int
    channel: str
    flag_key: str
    kinds: tuple[str, ...]
    created_ms: int = 0


def get(connection: Connection, name: str) -> Channel:
    """One channel.

    Raises:
        UnknownChannel: there is none of this name.
    """
    row = connection.execute(select(channels).where(channels.c.name == name)).one_or_none()
    if row is None:
        raise UnknownChannel(f"there is no channel {name!r}; `canary notify channels` shows them", field="channel")
    return Channel(**row._asdict())


def every(connection: Connection) -> list[Channel]:
    """All channels, by name."""
    return [Channel(**row._asdict()) for row in connection.execute(select(channels).order_by(channels.c.name))]


def count(connection: Connection) -> int:
    """How many there are."""
    return int(connection.execute(select(func.count()).select_from(channels)).scalar_one())


def add(connection: Connection, channel: Channel) -> None:
    """A new channel.

    Raises:
        AlreadyExists: the name is taken.
    """
    try:
        connection.execute(insert(channels).values(**_values(channel)))
    except IntegrityError:
        raise AlreadyExists(f"a channel {channel.name!r} exists already", field="name") from None


def change(connection: Connection, before: Channel, after: Channel) -> None:
    """Replace a channel, on condition that it is still as it was read.

    Raises:
        ChangedMeanwhile: it is not.
    """
    here = (channels.c.name == before.name) & (channels.c.version == before.version)
    if connection.execute(update(channels).where(here).values(**_values(after))).rowcount != 1:
        raise ChangedMeanwhile(f"channel {before.name!r} is no longer at version {before.version}", field="version")


def remove(connection: Connection, name: str) -> None:
    """End a channel with its subscriptions and everything in its line."""
    for table in (subscriptions, deliveries):
        connection.execute(delete(table).where(table.c.channel == name))
    connection.execute(delete(channels).where(channels.c.name == name))


def reseal(connection: Connection, name: str, address: str, secret: str) -> None:
    """The same secrets under another key."""
    connection.execute(update(channels).where(channels.c.name == name).values(address=address, secret=secret))


def subscribe(connection: Connection, channel: str, flag_key: str, kinds: tuple[str, ...], now_ms: int) -> Subscription:
    """What a channel hears of a flag; takes the place of what it heard of it before."""
    same = (subscriptions.c.channel == channel) & (subscriptions.c.flag_key == flag_key)
    connection.execute(delete(subscriptions).where(same))
    values = {"channel": channel, "flag_key": flag_key, "kinds": list(kinds), "created_ms": now_ms}
    made = connection.execute(insert(subscriptions).values(**values).returning(subscriptions.c.id)).scalar_one()
    return Subscription(int(made), channel, flag_key, kinds, now_ms)


def subscription(connection: Connection, number: int) -> Subscription:
    """One subscription.

    Raises:
        NotFound: there is none of this number.
    """
    row = connection.execute(select(subscriptions).where(subscriptions.c.id == number)).one_or_none()
    if row is None:
        raise NotFound(f"there is no subscription {number}; `canary notify subscriptions` shows them", field="id")
    return _subscription(row._asdict())


def unsubscribe(connection: Connection, number: int) -> None:
    """End a subscription."""
    connection.execute(delete(subscriptions).where(subscriptions.c.id == number))


def subscribed(connection: Connection) -> list[Subscription]:
    """All subscriptions, by channel and flag."""
    rows = connection.execute(select(subscriptions).order_by(subscriptions.c.channel, subscriptions.c.flag_key))
    return [_subscription(row._asdict()) for row in rows]


def plain(channel: Channel) -> dict[str, Any]:
    """The channel as an audit entry shows it: without address and secret."""
    kept = ("name", "kind", "shown", "enabled", "quiet_ms", "description", "version")
    return {name: getattr(channel, name) for name in kept}


def _values(channel: Channel) -> dict[str, Any]:
    return {name: getattr(channel, name) for name in Channel.__slots__}


def _subscription(row: dict[str, Any]) -> Subscription:
    return Subscription(**{**row, "kinds": tuple(row["kinds"])})
