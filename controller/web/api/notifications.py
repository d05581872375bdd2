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
from controller.web.access import needs, principal, services
from controller.web.operation import operation
from controller.wire.api.common import MOST_NUMBER, Page
from controller.wire.api.notifications import (
    BegunTest,
    ChannelBody,
    ChannelPatch,
    ChannelView,
    DeliveryQuery,
    DeliveryView,
    SubscriptionBody,
    SubscriptionView,
)

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
    wanted = NewChannel(
        body.name, body.kind, body.address, body.secret, duration_ms(body.quiet, "quiet"), body.description
    )
    channel, made = notifications.create(
        here.database, here.vault, here.read_address, wanted, actor=principal().name, now_ms=here.clock()
    )
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
    quiet_ms = None if body.quiet is None else duration_ms(body.quiet, "quiet")
    wanted = ChannelChange(body.address, body.secret, body.enabled, quiet_ms, body.description)
    notifications.change(
        here.database,
        here.vault,
        here.read_address,
        name,
        body.version,
        wanted,
        actor=principal().name,
        now_ms=here.clock(),
    )
    return _channel(name)


@blueprint.delete(f"{_HERE}/channels/<key:name>")
@needs(Need.ADMINISTER)
@operation()
def remove_channel(name: str) -> None:
    """End a channel with its subscriptions; what waits in its line is not sent."""
    here = services()
    notifications.remove(here.database, name, actor=principal().name, now_ms=here.clock())


@blueprint.post(f"{_HERE}/channels/<key:name>/test")
@needs(Need.OPERATE)
@operation(202)
def test_channel(name: str) -> BegunTest:
    """Send a test down the way of all notices; its delivery tells how it ends."""
    here = services()
    made = notifications.test(here.database, name, actor=principal().name, now_ms=here.clock())
    return BegunTest(made)


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
    here = services()
    made = notifications.subscribe(
        here.database, body.channel, body.flag, body.kinds, actor=principal().name, now_ms=here.clock()
    )
    return subscription_view(made)


@blueprint.delete(f"{_HERE}/subscriptions/<int(max=9007199254740992):number>")
@needs(Need.OPERATE)
@operation()
def unsubscribe(number: int) -> None:
    """End a subscription."""
    here = services()
    notifications.unsubscribe(here.database, _small(number), actor=principal().name, now_ms=here.clock())


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
def retry_delivery(number: int) -> DeliveryView:
    """Try a dead letter again from the beginning."""
    here = services()
    notifications.retry(here.database, _small(number), actor=principal().name, now_ms=here.clock())
    with here.database.read() as connection:
        return delivery_view(connection, _small(number))


def _small(found: int) -> int:
    """A number of a path; one that no database holds is none that it knows."""
    return min(found, MOST_NUMBER)


def _channel(name: str, secret: str | None = None) -> ChannelView:
    with services().database.read() as connection:
        return channel_view(connection, name, secret)
