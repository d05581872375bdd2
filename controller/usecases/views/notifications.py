"""Notifications as they are shown: channels, who hears of what, and what became of each notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from controller.domain.deliveries import State
from controller.domain.durations import duration_text
from controller.domain.notices import Notice, compose
from controller.storage import channels, deliveries, rollouts, snapshots
from controller.storage.channels import Channel, Subscription
from controller.storage.deliveries import Delivery
from controller.storage.vault import is_sealed
from controller.usecases.views.paging import page
from controller.wire.api.common import Page
from controller.wire.api.notifications import ChannelView, DeliveryView, SubscriptionView

#: Deliveries that the page shows, and dead letters.
MOST_ROWS = 50


@dataclass(frozen=True, slots=True)
class Notifications:
    """Everything that a page about notifications shows.

    Attributes:
        dead: what was given up, the newest first; recent: everything else, the newest first.
        oldest_ms: since when the oldest notice waits that should have been told by now.
    """

    channels: list[ChannelView]
    subscriptions: list[SubscriptionView]
    dead: list[DeliveryView]
    recent: list[DeliveryView]
    oldest_ms: int | None


def notifications(connection: Connection, now_ms: int) -> Notifications:
    """The page as of now."""
    every = deliveries.before(connection, _NEWEST, MOST_ROWS)
    return Notifications(
        channels=channel_views(connection),
        subscriptions=subscription_views(connection),
        dead=_views(connection, deliveries.before(connection, _NEWEST, MOST_ROWS, state=State.DEAD.value)),
        recent=_views(connection, [one for one in every if one.state != State.DEAD.value]),
        oldest_ms=deliveries.oldest_ms(connection, now_ms),
    )


def channel_views(connection: Connection) -> list[ChannelView]:
    """All channels, by name."""
    counts = deliveries.counts(connection)
    return [_channel(one, counts) for one in channels.every(connection)]


def channel_view(connection: Connection, name: str, secret: str | None = None) -> ChannelView:
    """One channel; with the secret that was made for it just now.

    Raises:
        UnknownChannel: there is none of this name.
    """
    found = _channel(channels.get(connection, name), deliveries.counts(connection))
    found.secret = secret
    return found


def subscription_views(connection: Connection) -> list[SubscriptionView]:
    """All subscriptions, by channel and flag."""
    return [subscription_view(one) for one in channels.subscribed(connection)]


def subscription_view(one: Subscription) -> SubscriptionView:
    """One subscription."""
    return SubscriptionView(one.id, one.channel, one.flag_key, list(one.kinds), one.created_ms)


def delivery_view(connection: Connection, number: int) -> DeliveryView:
    """One delivery.

    Raises:
        NotFound: there is none of this number, or no longer.
    """
    return _views(connection, [deliveries.get(connection, number)])[0]


def delivery_page(
    connection: Connection, before: int, limit: int, *, state: str | None = None, channel: str | None = None
) -> Page[DeliveryView]:
    """Deliveries, the newest first; the cursor is the oldest one's number."""
    rows = deliveries.before(connection, before, limit + 1, state=state, channel=channel)
    views = _views(connection, rows)
    return page(views, limit, lambda view: view, lambda view: view.id)


_NEWEST = 2**53


def _channel(one: Channel, counts: dict[tuple[str, str], int]) -> ChannelView:
    return ChannelView(
        name=one.name,
        kind=one.kind,
        address=one.shown,
        sealed=is_sealed(one.address),
        enabled=one.enabled,
        quiet=duration_text(one.quiet_ms),
        description=one.description,
        version=one.version,
        updated_ms=one.updated_ms,
        waiting=sum(counts.get((one.name, state.value), 0) for state in (State.WAITING, State.SENDING)),
        dead=counts.get((one.name, State.DEAD.value), 0),
    )


def _views(connection: Connection, rows: Sequence[Delivery]) -> list[DeliveryView]:
    told = deliveries.notices(connection, {one.notice for one in rows})
    environment = snapshots.environment(connection)
    found = [(one, deliveries.notice_of(told, one)) for one in rows]
    keys = {notice.name for _, notice in found if notice.subject.startswith("rollout/")}
    flags = {f"rollout/{key}": one.flag_key for key, one in rollouts.some(connection, keys).items()}
    return [_delivery(one, notice, environment, flags.get(notice.subject, "")) for one, notice in found]


def _delivery(one: Delivery, notice: Notice, environment: str, flag: str) -> DeliveryView:
    return DeliveryView(
        id=one.id,
        notice=one.notice,
        channel=one.channel,
        kind=one.kind,
        subject=notice.subject,
        title=compose(notice, environment).title,
        state=one.state,
        attempts=one.attempts,
        created_ms=one.created_ms,
        due_ms=one.due_ms,
        settled_ms=one.settled_ms,
        error=one.error,
        flag=notice.name if notice.subject.startswith("flag/") else flag,
    )
