"""/api/v1/notifications: channels (for admins, since addresses are secrets), subscriptions and deliveries."""

from __future__ import annotations

from flask import Blueprint

from controller.domain.durations import duration_ms
from controller.domain.principals import Need
from controller.usecases import notifications
from controller.usecases.notifications import ChannelChange, NewChannel
from controller.usecases.views.notifications import (
    channel_view,
    channel_views,
    delivery_page,
    delivery_view,
    subscription_view,
    subscription_views,
)
from controller.web.access import needs, order, services
from controller.web.operation import operation
from controller.wire.api.common import MOST_NUMBER, Page
from controller.wire.api.notifications import (
    BegunTest,
    ChannelBody,
    ChannelPatch,
    ChannelView,
    DeliveryQuery,
    DeliveryView,
    EndingQuery,
    SubscriptionBody,
    SubscriptionView,
)
from controller.wire.api.people import ReasonBody
from controller.wire.api.queries import RemovalQuery

blueprint = Blueprint("notifications", __name__)

_HERE = "/api/v1/notifications"


@blueprint.get(f"{_HERE}/channels")
@needs(Need.READ)
@operation()
def list_channels() -> Page[ChannelView]:
    """All channels, without their secrets."""
    with services().database.read() as connection:
        return Page(channel_views(connection))


@blueprint.post(f"{_HERE}/channels")
@needs(Need.ADMINISTER)
@operation(201, secret=True)
def create_channel(body: ChannelBody) -> ChannelView:
    """A new channel; a signing secret that was made for it is shown in this answer and never again."""
    here = services()
    wanted, asked = new_channel_of(body), order(body.reason)
    channel, made = notifications.create(here.database, here.vault, here.read_address, wanted, asked)
    return _channel(channel.name, made or None)


@blueprint.get(f"{_HERE}/channels/<key:name>")
@needs(Need.READ)
@operation()
def get_channel(name: str) -> ChannelView:
    """One channel."""
    return _channel(name)


@blueprint.patch(f"{_HERE}/channels/<key:name>")
@needs(Need.ADMINISTER)
@operation()
def change_channel(name: str, body: ChannelPatch) -> ChannelView:
    """Change a channel at the version it was read at."""
    here = services()
    wanted, asked = change_of(body), order(body.reason, body.version)
    notifications.change(here.database, here.vault, here.read_address, name, wanted, asked)
    return _channel(name)


@blueprint.delete(f"{_HERE}/channels/<key:name>")
@needs(Need.ADMINISTER)
@operation()
def remove_channel(name: str, query: RemovalQuery) -> None:
    """End a channel with its subscriptions, at a version where one is given; what waits in its line is not sent."""
    notifications.remove(services().database, name, order(query.reason, query.version or None))


@blueprint.post(f"{_HERE}/channels/<key:name>/test")
@needs(Need.OPERATE)
@operation(202)
def test_channel(name: str, body: ReasonBody) -> BegunTest:
    """Send a test down the way of all notices; its delivery tells how it ends."""
    return BegunTest(notifications.test(services().database, name, order(body.reason)))


@blueprint.get(f"{_HERE}/subscriptions")
@needs(Need.READ)
@operation()
def list_subscriptions() -> Page[SubscriptionView]:
    """Who hears of what."""
    with services().database.read() as connection:
        return Page(subscription_views(connection))


@blueprint.post(f"{_HERE}/subscriptions")
@needs(Need.OPERATE)
@operation(201)
def subscribe(body: SubscriptionBody) -> SubscriptionView:
    """What a channel hears of a flag, or of all; takes the place of what it heard of it before."""
    made = notifications.subscribe(services().database, body.channel, body.flag, body.kinds, order(body.reason))
    return subscription_view(made)


@blueprint.delete(f"{_HERE}/subscriptions/<int(max=9007199254740992):number>")
@needs(Need.OPERATE)
@operation()
def unsubscribe(number: int, query: EndingQuery) -> None:
    """End a subscription."""
    notifications.unsubscribe(services().database, _small(number), order(query.reason))


@blueprint.get(f"{_HERE}/deliveries")
@needs(Need.READ)
@operation()
def list_deliveries(query: DeliveryQuery) -> Page[DeliveryView]:
    """What became of each notice on each channel, the newest first; `?state=dead` shows what was given up."""
    with services().database.read() as connection:
        chosen = {"state": query.state or None, "channel": query.channel or None}
        return delivery_page(connection, query.before, query.limit, **chosen)


@blueprint.get(f"{_HERE}/deliveries/<int(max=9007199254740992):number>")
@needs(Need.READ)
@operation()
def get_delivery(number: int) -> DeliveryView:
    """One delivery."""
    with services().database.read() as connection:
        return delivery_view(connection, _small(number))


@blueprint.post(f"{_HERE}/deliveries/<int(max=9007199254740992):number>/retry")
@needs(Need.OPERATE)
@operation()
def retry_delivery(number: int, body: ReasonBody) -> DeliveryView:
    """Try a dead letter again from the beginning."""
    here = services()
    notifications.retry(here.database, _small(number), order(body.reason))
    with here.database.read() as connection:
        return delivery_view(connection, _small(number))


def new_channel_of(body: ChannelBody) -> NewChannel:
    """The channel that a body wants; raises Invalid where `quiet` is no duration."""
    quiet_ms = duration_ms(body.quiet, "quiet")
    return NewChannel(body.name, body.kind, body.address, body.secret, quiet_ms, body.description)


def change_of(body: ChannelPatch) -> ChannelChange:
    """The change that a body wants; raises Invalid where `quiet` is no duration."""
    quiet_ms = None if body.quiet is None else duration_ms(body.quiet, "quiet")
    return ChannelChange(body.address, body.secret, body.enabled, quiet_ms, body.description)


def _small(found: int) -> int:
    """A number of a path; one that no database holds is none that it knows."""
    return min(found, MOST_NUMBER)


def _channel(name: str, secret: str | None = None) -> ChannelView:
    with services().database.read() as connection:
        return channel_view(connection, name, secret)
