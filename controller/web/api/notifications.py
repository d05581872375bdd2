"""/api/v1/notifications: channels (for admins, since addresses are secrets), subscriptions and deliveries."""

from __future__ import annotations

from flask import Blueprint, Response, request

from controller.domain.deliveries import State
from controller.domain.durations import duration_ms
from controller.domain.errors import Invalid
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
from controller.web.http import MOST_NUMBER, answer, body, limit, number
from controller.wire.api.common import Page
from controller.wire.api.notifications import BegunTest, ChannelBody, ChannelPatch, SubscriptionBody

blueprint = Blueprint("notifications", __name__)

_HERE = "/api/v1/notifications"


@blueprint.get(f"{_HERE}/channels")
@needs(Need.READ)
def list_channels() -> Response:
    """All channels, without their secrets."""
    with services().database.read() as connection:
        return answer(Page(channel_views(connection)))


@blueprint.post(f"{_HERE}/channels")
@needs(Need.ADMINISTER)
def create_channel() -> Response:
    """A new channel; a signing secret that was made for it is shown in this answer and never again."""
    form, here = body(ChannelBody), services()
    wanted = NewChannel(
        form.name, form.kind, form.address, form.secret, duration_ms(form.quiet, "quiet"), form.description
    )
    channel, made = notifications.create(
        here.database, here.vault, here.read_address, wanted, actor=principal().name, now_ms=here.clock()
    )
    return _channel(channel.name, 201, made or None)


@blueprint.get(f"{_HERE}/channels/<key:name>")
@needs(Need.READ)
def get_channel(name: str) -> Response:
    """One channel."""
    return _channel(name)


@blueprint.patch(f"{_HERE}/channels/<key:name>")
@needs(Need.ADMINISTER)
def change_channel(name: str) -> Response:
    """Change a channel at the version it was read at."""
    form, here = body(ChannelPatch), services()
    quiet_ms = None if form.quiet is None else duration_ms(form.quiet, "quiet")
    wanted = ChannelChange(form.address, form.secret, form.enabled, quiet_ms, form.description)
    notifications.change(
        here.database,
        here.vault,
        here.read_address,
        name,
        form.version,
        wanted,
        actor=principal().name,
        now_ms=here.clock(),
    )
    return _channel(name)


@blueprint.delete(f"{_HERE}/channels/<key:name>")
@needs(Need.ADMINISTER)
def remove_channel(name: str) -> Response:
    """End a channel with its subscriptions; what waits in its line is not sent."""
    here = services()
    notifications.remove(here.database, name, actor=principal().name, now_ms=here.clock())
    return Response(status=204)


@blueprint.post(f"{_HERE}/channels/<key:name>/test")
@needs(Need.OPERATE)
def test_channel(name: str) -> Response:
    """Send a test down the way of all notices; its delivery tells how it ends."""
    here = services()
    made = notifications.test(here.database, name, actor=principal().name, now_ms=here.clock())
    return answer(BegunTest(made), 202)


@blueprint.get(f"{_HERE}/subscriptions")
@needs(Need.READ)
def list_subscriptions() -> Response:
    """Who hears of what."""
    with services().database.read() as connection:
        return answer(Page(subscription_views(connection)))


@blueprint.post(f"{_HERE}/subscriptions")
@needs(Need.OPERATE)
def subscribe() -> Response:
    """What a channel hears of a flag, or of all; takes the place of what it heard of it before."""
    form, here = body(SubscriptionBody), services()
    made = notifications.subscribe(
        here.database, form.channel, form.flag, form.kinds, actor=principal().name, now_ms=here.clock()
    )
    return answer(subscription_view(made), 201)


@blueprint.delete(f"{_HERE}/subscriptions/<int:number>")
@needs(Need.OPERATE)
def unsubscribe(number: int) -> Response:
    """End a subscription."""
    here = services()
    notifications.unsubscribe(here.database, _small(number), actor=principal().name, now_ms=here.clock())
    return Response(status=204)


@blueprint.get(f"{_HERE}/deliveries")
@needs(Need.READ)
def list_deliveries() -> Response:
    """What became of each notice on each channel, the newest first; `?state=dead` shows what was given up."""
    state, channel = request.args.get("state"), request.args.get("channel")
    if state is not None and state not in tuple(State):
        raise Invalid(f"write one of {', '.join(State)}", field="state")
    with services().database.read() as connection:
        before = number("before", MOST_NUMBER, 1)
        return answer(delivery_page(connection, before, limit(), state=state, channel=channel))


@blueprint.get(f"{_HERE}/deliveries/<int:number>")
@needs(Need.READ)
def get_delivery(number: int) -> Response:
    """One delivery."""
    with services().database.read() as connection:
        return answer(delivery_view(connection, _small(number)))


@blueprint.post(f"{_HERE}/deliveries/<int:number>/retry")
@needs(Need.OPERATE)
def retry_delivery(number: int) -> Response:
    """Try a dead letter again from the beginning."""
    here = services()
    notifications.retry(here.database, _small(number), actor=principal().name, now_ms=here.clock())
    with here.database.read() as connection:
        return answer(delivery_view(connection, number))


def _small(found: int) -> int:
    """A number of a path; one that no database holds is none that it knows."""
    return min(found, MOST_NUMBER)


def _channel(name: str, status: int = 200, secret: str | None = None) -> Response:
    with services().database.read() as connection:
        return answer(channel_view(connection, name, secret), status)
