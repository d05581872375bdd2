"""What people do with channels: make, change and end them, subscribe them, test them, and retry dead letters."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from controller.domain.deliveries import Placed, State
from controller.domain.errors import ChangedMeanwhile, Conflict, Invalid, OutOfScope
from controller.domain.notices import DEFAULT_KINDS, check_kinds
from controller.domain.orders import Order
from controller.domain.scopes import Scope
from controller.storage import channels, deliveries, flags, leases, record, rollouts
from controller.storage.channels import QUIET_MS, Channel, Subscription
from controller.storage.database import Database
from controller.storage.vault import Vault

#: Checks an address of a kind and returns it without what is secret in it; raises Invalid.
ReadAddress = Callable[[str, str], str]

KINDS = ("apprise", "webhook")
MOST_CHANNELS = 50
MOST_SUBSCRIPTIONS = 500
_MOST_QUIET_MS = 7 * 86_400_000
_SECRET_BYTES = 24


@dataclass(frozen=True, slots=True)
class NewChannel:
    """What a channel is to be."""

    name: str
    kind: str
    address: str
    secret: str = ""
    quiet_ms: int = QUIET_MS
    description: str = ""


@dataclass(frozen=True, slots=True)
class ChannelChange:
    """What is to change of a channel; None leaves a field as it is."""

    address: str | None = None
    secret: str | None = None
    enabled: bool | None = None
    quiet_ms: int | None = None
    description: str | None = None


def create(
    database: Database, vault: Vault, read_address: ReadAddress, wanted: NewChannel, order: Order
) -> tuple[Channel, str]:
    """A new channel; also returns the webhook's signing secret where one was made, which is shown this once.

    Raises:
        Invalid: a field cannot be used. AlreadyExists: the name is taken. Conflict: there are too many.
    """
    if wanted.kind not in KINDS:
        raise Invalid(f"{wanted.kind!r} is no kind of channel; write {' or '.join(KINDS)}", field="kind")
    shown = read_address(wanted.kind, wanted.address)
    made = (
        ""
        if wanted.secret or wanted.kind != "webhook"
        else f"whsec_{b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
    )
    channel = Channel(
        name=wanted.name,
        kind=wanted.kind,
        address=vault.seal(wanted.address),
        secret=vault.seal(_checked_secret(wanted.kind, wanted.secret or made)),
        shown=shown,
        quiet_ms=_checked_quiet(wanted.quiet_ms),
        description=wanted.description,
        created_ms=order.now_ms,
        updated_ms=order.now_ms,
    )
    with database.write() as connection:
        if channels.count(connection) >= MOST_CHANNELS:
            raise Conflict(f"there are {MOST_CHANNELS} channels already; end one first", field="name")
        channels.add(connection, channel)
        _note(connection, "channel.created", channel.name, order, after=channels.plain(channel))
    return channel, made


def change(
    database: Database, vault: Vault, read_address: ReadAddress, name: str, wanted: ChannelChange, order: Order
) -> Channel:
    """Change a channel at the version it was read at.

    Raises:
        UnknownChannel. Invalid: a field cannot be used. ChangedMeanwhile: it is not as it was read.
    """
    with database.write() as connection:
        before = _read(connection, name, order)
        changes = _changes(vault, read_address, before, wanted)
        after = replace(before, version=before.version + 1, updated_ms=order.now_ms, **changes)
        channels.change(connection, before, after)
        states = {"before": channels.plain(before), "after": channels.plain(after)}
        _note(connection, "channel.changed", name, order, **states)
    return after


def remove(database: Database, name: str, order: Order) -> None:
    """End a channel; what waits in its line is not sent.

    Raises:
        UnknownChannel: there is none of this name. ChangedMeanwhile: it is not as it was read.
    """
    with database.write() as connection:
        before = _read(connection, name, order)
        channels.remove(connection, name)
        _note(connection, "channel.removed", name, order, before=channels.plain(before))


def subscribe(database: Database, channel: str, flag: str, kinds: Collection[str], order: Order) -> Subscription:
    """Let a channel hear of a flag (or of all, with an empty key); takes the place of what it heard of it before.

    Raises:
        UnknownChannel. UnknownFlag. OutOfScope: the flag, or one of all of them, is not the actor's. Invalid: a kind
        fits none. Conflict: there are too many.
    """
    patterns = check_kinds(kinds or DEFAULT_KINDS, "kinds")
    _check_scope(flag, order.scope)
    with database.write() as connection:
        channels.get(connection, channel)
        if flag:
            flags.get(connection, flag)
        if len(channels.subscribed(connection)) >= MOST_SUBSCRIPTIONS:
            raise Conflict(f"there are {MOST_SUBSCRIPTIONS} subscriptions already; end one first", field="channel")
        made = channels.subscribe(connection, channel, flag, patterns, order.now_ms)
        what = {"flag": flag, "kinds": list(patterns)}
        _note(connection, "channel.subscribed", channel, order, after=what)
    return made


def unsubscribe(database: Database, number: int, order: Order) -> None:
    """End a subscription.

    Raises:
        NotFound: there is none of this number. OutOfScope: it is to flags that are not the actor's.
    """
    with database.write() as connection:
        found = channels.subscription(connection, number)
        _check_scope(found.flag_key, order.scope)
        channels.unsubscribe(connection, number)
        what = {"flag": found.flag_key, "kinds": list(found.kinds)}
        _note(connection, "channel.unsubscribed", found.channel, order, before=what)


def test(database: Database, name: str, order: Order) -> int:
    """Send a test down the way that all notices go; returns the delivery's number, to be looked at.

    Raises:
        UnknownChannel. Conflict: the channel is switched off.
    """
    with database.write() as connection:
        channel = channels.get(connection, name)
        if not channel.enabled:
            raise Conflict(f"channel {name!r} is switched off; `canary notify set {name} --on` first", field="channel")
        now_ms = leases.now(connection, order.now_ms)
        notice = deliveries.write_test(connection, name, order.actor, now_ms)
        number = deliveries.put(connection, notice, name, Placed(State.WAITING, now_ms), now_ms)
        _note(connection, "channel.tested", name, order, after={"delivery": number})
    return number


def retry(database: Database, number: int, order: Order) -> None:
    """Try a dead letter again.

    Raises:
        NotFound: there is none of this number. OutOfScope: it is about a flag that is not the actor's. Conflict: it is
        not dead.
    """
    with database.write() as connection:
        found = deliveries.get(connection, number)
        _check_subject(connection, found.topic.partition("#")[0], order.scope)
        if not deliveries.revive(connection, number, leases.now(connection, order.now_ms)):
            raise Conflict(f"delivery {number} is {found.state}; only a dead one is tried again", field="id")
        _note(connection, "channel.retried", found.channel, order, after={"delivery": number})


def _changes(vault: Vault, read_address: ReadAddress, before: Channel, wanted: ChannelChange) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if wanted.address is not None:
        found |= {"shown": read_address(before.kind, wanted.address), "address": vault.seal(wanted.address)}
    if wanted.secret is not None:
        found["secret"] = vault.seal(_checked_secret(before.kind, wanted.secret))
    if wanted.quiet_ms is not None:
        found["quiet_ms"] = _checked_quiet(wanted.quiet_ms)
    same = {"enabled": wanted.enabled, "description": wanted.description}
    return {**found, **{name: value for name, value in same.items() if value is not None}}


def _checked_secret(kind: str, secret: str) -> str:
    if kind == "apprise" and secret:
        raise Invalid("only a webhook has a secret of its own; an apprise address holds its own", field="secret")
    if kind == "webhook" and not 24 <= len(secret) <= 200:
        raise Invalid("use 24 to 200 characters, or leave it out and one is made", field="secret")
    return secret


def _checked_quiet(quiet_ms: int) -> int:
    if not 0 <= quiet_ms <= _MOST_QUIET_MS:
        raise Invalid("use 0s (tell everything) to 7d", field="quiet")
    return quiet_ms


def _read(connection: Connection, name: str, order: Order) -> Channel:
    found = channels.get(connection, name)
    if order.version is not None and found.version != order.version:
        raise ChangedMeanwhile(f"channel {name!r} is at version {found.version}, not {order.version}", field="version")
    return found


def _check_scope(flag: str, scope: Scope) -> None:
    """A subscription without a flag is to all of them, and only for those who may change all of them."""
    if flag:
        scope.check(flag)
    elif not scope.everything:
        raise OutOfScope(f"name a flag: all of them are for whoever may change all; this covers {scope}", field="flag")


def _check_subject(connection: Connection, subject: str, scope: Scope) -> None:
    kind, _, key = subject.partition("/")
    if kind == "flag":
        scope.check(key)
    elif kind == "rollout" and not scope.everything:
        scope.check(rollouts.get(connection, key).flag_key)


def _note(connection: Connection, action: str, name: str, order: Order, **states: Any) -> None:
    record.note(
        connection,
        actor=order.actor,
        action=action,
        subject=f"channel/{name}",
        reason=order.reason,
        at_ms=order.now_ms,
        request_id=order.request_id,
        **states,
    )
