"""Notifications: channels (for admins to change), who hears of what, and what became of each notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response, make_response

from controller.domain.errors import NotFound, Refusal
from controller.domain.orders import Order
from controller.domain.principals import Need
from controller.storage import channels
from controller.storage import flags as flag_rows
from controller.storage.database import Database
from controller.usecases import notifications
from controller.usecases.views.notifications import MOST_ROWS, Notifications, channel_view, delivery_view
from controller.usecases.views.notifications import notifications as everything
from controller.web.access import needs, principal, services
from controller.web.api.notifications import change_of, new_channel_of
from controller.web.ops.forms import Form
from controller.web.ops.site import blueprint, confirm, done, fragment, live, page
from controller.wire.api.common import MOST_NUMBER
from controller.wire.api.notifications import ChannelBody, ChannelPatch, SubscriptionBody
from controller.wire.codec import convert

_HERE = "/notifications"
_NUMBER = "<int(max=9007199254740992):number>"
#: What a form that was refused shows again; an address and a secret are in no page.
_GIVEN = ("name", "kind", "quiet", "description", "channel", "flag", "kinds", "reason")
#: Question, consequence and button of each act.
_QUESTIONS = {
    "remove": (
        "Remove this channel?",
        "Its subscriptions end with it, and what waits in its line is not sent.",
        "Remove the channel",
    ),
    "disable": (
        "Switch this channel off?",
        "What waits in its line waits on; what happens meanwhile is not told on it, nor later.",
        "Switch it off",
    ),
    "enable": ("Switch this channel on?", "What waits in its line is sent, and it hears again.", "Switch it on"),
    "test": (
        "Send a test?",
        "It goes the way that every notice goes; the deliveries tell what came of it.",
        "Send a test",
    ),
    "unsubscribe": (
        "End this subscription?",
        "The channel hears of this no more; what is in its line is still sent.",
        "End the subscription",
    ),
    "retry": ("Try this again?", "It is tried again from the beginning, for up to a day.", "Try again"),
}


@blueprint.get(_HERE)
@needs(Need.READ)
def show_notifications() -> str:
    """Channels, subscriptions and deliveries."""
    return _notifications()


@blueprint.get("/fragments/notifications")
@needs(Need.READ)
def fragment_notifications() -> Response:
    """The live part of it: what became of each notice."""
    return fragment(lambda: _deliveries(_everything()))


@blueprint.post(f"{_HERE}/channels")
@needs(Need.ADMINISTER)
def add_channel() -> Response:
    """A new channel; where a signing secret was made for it, the page shows it once."""
    form, here = Form(), services()
    try:
        fields = {name: form.line(name) for name in ("name", "kind", "secret", "description")}
        body = convert({**fields, "address": _address(form), "quiet": form.line("quiet") or "30m"}, ChannelBody)
        wanted = new_channel_of(body)
        channel, made = notifications.create(here.database, here.vault, here.read_address, wanted, form.order())
    except Refusal as refusal:
        return make_response(_notifications(form, refusal, "channel"), refusal.status)
    if not made:
        return done(_HERE)
    # A page rather than a redirect: the secret is in no address, and on no page once this one is closed.
    return make_response(page("secret.html", what="signing secret", name=channel.name, secret=made, back=_HERE))


@blueprint.post(f"{_HERE}/channels/<key:name>")
@needs(Need.ADMINISTER)
def change_channel(name: str) -> Response:
    """Change a channel at the version that the page showed; an address that is left empty stays."""
    form, here = Form(), services()
    try:
        fields = {"address": _address(form), "secret": form.line("secret"), "quiet": form.line("quiet")}
        given, order = {field: text for field, text in fields.items() if text}, form.order()
        document = {**given, "version": order.version or 0, "description": form.line("description")}
        wanted = change_of(convert(document, ChannelPatch))
        notifications.change(here.database, here.vault, here.read_address, name, wanted, order)
    except Refusal as refusal:
        return make_response(_notifications(form, refusal, f"channel {name}"), refusal.status)
    return done(_HERE)


@blueprint.get(f"{_HERE}/channels/<key:name>/<verb>")
@needs(Need.READ)
def ask_about_channel(name: str, verb: str) -> Response:
    """The confirmation of an act on a channel."""
    return _ask_about_channel(name, verb)


@blueprint.post(f"{_HERE}/channels/<key:name>/<verb>")
@needs(Need.ADMINISTER)
def act_on_channel(name: str, verb: str) -> Response:
    """Remove a channel, or switch it on or off."""
    return _act_on_channel(name, verb)


@blueprint.post(f"{_HERE}/channels/<key:name>/test")
@needs(Need.OPERATE)
def test_channel(name: str) -> Response:
    """Send a test; its delivery tells how it ends."""
    return _act_on_channel(name, "test")


@blueprint.post(f"{_HERE}/subscriptions")
@needs(Need.OPERATE)
def subscribe_channel() -> Response:
    """What a channel hears of a flag, or of all; takes the place of what it heard of it before."""
    form = Form()
    try:
        kinds = form.line("kinds").replace(",", " ").split()
        document = {"channel": form.line("channel"), "flag": form.line("flag"), "kinds": kinds}
        body = convert(document, SubscriptionBody)
        notifications.subscribe(services().database, body.channel, body.flag, body.kinds, form.order())
    except Refusal as refusal:
        return make_response(_notifications(form, refusal, "subscription"), refusal.status)
    return done(_HERE)


@blueprint.get(f"{_HERE}/subscriptions/{_NUMBER}/remove")
@needs(Need.READ)
def ask_to_unsubscribe(number: int) -> Response:
    """The confirmation that ends a subscription."""
    return _ask_about_subscription(number)


@blueprint.post(f"{_HERE}/subscriptions/{_NUMBER}/remove")
@needs(Need.OPERATE)
def unsubscribe_channel(number: int) -> Response:
    """End a subscription."""
    form = Form()
    try:
        notifications.unsubscribe(services().database, min(number, MOST_NUMBER), form.order())
    except Refusal as refusal:
        return _ask_about_subscription(number, refusal, form)
    return done(_HERE)


@blueprint.get(f"{_HERE}/deliveries/{_NUMBER}/retry")
@needs(Need.READ)
def ask_to_retry(number: int) -> Response:
    """The confirmation that tries a dead letter again."""
    return _ask_about_delivery(number)


@blueprint.post(f"{_HERE}/deliveries/{_NUMBER}/retry")
@needs(Need.OPERATE)
def retry_letter(number: int) -> Response:
    """Try a dead letter again from the beginning."""
    form = Form()
    try:
        notifications.retry(services().database, min(number, MOST_NUMBER), form.order())
    except Refusal as refusal:
        return _ask_about_delivery(number, refusal, form)
    return done(_HERE)


def _switch(database: Database, name: str, order: Order, *, on: bool) -> None:
    here = services()
    wanted = notifications.ChannelChange(enabled=on)
    notifications.change(database, here.vault, here.read_address, name, wanted, order)


_ACTS: dict[str, Callable[[Database, str, Order], object]] = {
    "remove": notifications.remove,
    "enable": lambda database, name, order: _switch(database, name, order, on=True),
    "disable": lambda database, name, order: _switch(database, name, order, on=False),
    "test": notifications.test,
}


def _act_on_channel(name: str, verb: str) -> Response:
    form = Form()
    try:
        if verb not in _ACTS:
            raise NotFound(f"a channel has no act {verb[:40]!r}", field="act")
        _ACTS[verb](services().database, name, form.order())
    except Refusal as refusal:
        return _ask_about_channel(name, verb, refusal, form)
    return done(_HERE)


def _everything() -> Notifications:
    here = services()
    with here.database.read() as connection:
        return everything(connection, here.clock())


def _deliveries(found: Notifications) -> str:
    return live("_deliveries.html", "/fragments/notifications", found=found, most=MOST_ROWS)


def _notifications(form: Form | None = None, refusal: Refusal | None = None, refused: str = "") -> str:
    found, scope = _everything(), principal().scope
    with services().database.read() as connection:
        flags = [flag.key for flag in flag_rows.every(connection) if scope.covers(flag.key)]
    return page(
        "notifications.html",
        found=found,
        body=_deliveries(found),
        flags=flags,
        unscoped=scope.everything,
        kinds=notifications.KINDS,
        given={name: form.line(name, most=10_000)[:500] if form else "" for name in _GIVEN},
        refusal=refusal,
        refused=refused,
        stray=refused not in ("channel", "subscription", *(f"channel {one.name}" for one in found.channels)),
    )


def _ask_about_channel(name: str, verb: str, refusal: Refusal | None = None, form: Form | None = None) -> Response:
    if verb not in _ACTS:
        raise NotFound(f"a channel has no act {verb[:40]!r}", field="act")
    with services().database.read() as connection:
        found = channel_view(connection, name)
    version = None if verb == "test" else found.version
    return _ask(f"channels/{name}/{verb}", verb, f"{name}: {found.address}", refusal, form, version=version)


def _ask_about_subscription(number: int, refusal: Refusal | None = None, form: Form | None = None) -> Response:
    with services().database.read() as connection:
        found = channels.subscription(connection, min(number, MOST_NUMBER))
    subject = f"{found.channel} hears {', '.join(found.kinds)} of {found.flag_key or 'all flags'}"
    return _ask(f"subscriptions/{number}/remove", "unsubscribe", subject, refusal, form)


def _ask_about_delivery(number: int, refusal: Refusal | None = None, form: Form | None = None) -> Response:
    with services().database.read() as connection:
        found = delivery_view(connection, min(number, MOST_NUMBER))
    return _ask(f"deliveries/{number}/retry", "retry", f"{found.channel}: {found.title}", refusal, form)


def _ask(where: str, verb: str, subject: str, refusal: Refusal | None, form: Form | None, **more: Any) -> Response:
    question, consequence, label = _QUESTIONS[verb]
    return confirm(
        f"{_HERE}/{where}",
        question=question,
        subject=subject,
        consequence=consequence,
        label=label,
        back=_HERE,
        plain=False,
        refusal=refusal,
        reason=form.line("reason", most=10_000) if form else "",
        **{"version": None, **more},
    )


def _address(form: Form) -> str:
    """An apprise address may be longer than what other fields take."""
    return form.line("address", most=2_000)
