"""`canary notify`: where notices go, who hears of what, and what became of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from controller.cli.failures import stop
from controller.cli.options import IfVersion, Json, Reason
from controller.cli.output import clock_text, emit, filled, show, table
from controller.cli.remote import Remote, remote
from controller.wire.api.notifications import (
    BegunTest,
    ChannelBody,
    ChannelPatch,
    ChannelView,
    DeliveryView,
    SubscriptionBody,
    SubscriptionView,
)
from controller.wire.api.people import ReasonBody

app = typer.Typer(no_args_is_help=True, help="Notifications: channels, subscriptions, deliveries, and a test.")

_HERE = "/api/v1/notifications"
_LOOK_EVERY_S = 0.3
#: Deliveries that have ended, or have met a first failure: there is something to say of them.
_OVER = ("delivered", "dead", "quiet")

Channel = Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel's name.", show_default=False)]
AddressFile = Annotated[
    str | None,
    typer.Option("--address-file", metavar="FILE", help="A file with the address; `-` reads stdin."),
]
SecretFile = Annotated[
    str | None,
    typer.Option("--secret-file", metavar="FILE", help="A file with the webhook's signing secret; one is made else."),
]
Quiet = Annotated[str | None, typer.Option("--quiet", help="How long repeats are kept quiet: 30m; 0s tells all.")]
Description = Annotated[str | None, typer.Option("--description", help="Who reads it.")]


@app.command("channels")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List all channels."""
    with remote(context) as api:
        found = api.items(f"{_HERE}/channels", ChannelView)
    if as_json:
        return emit(found)
    rows = ((c.name, c.kind, c.address, _state(c), c.quiet, c.waiting, c.dead) for c in found)
    columns = ("channel", "kind", "address", "state", "quiet", ">waiting", ">dead")
    return show(filled(table(*columns), rows, "no channels yet: canary notify add"))


@app.command()
def add(  # noqa: PLR0913 - the options of a command line
    context: typer.Context,
    *,
    channel: Channel,
    kind: Annotated[str, typer.Option("--kind", help="apprise (Slack, Teams, e-mail ...) or webhook (signed).")],
    address_file: AddressFile = None,
    secret_file: SecretFile = None,
    quiet: Quiet = "30m",
    description: Description = "",
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Make a channel. Its address is asked for, or read from a file: other users of a machine see command lines."""
    address = _content(address_file) or typer.prompt("address", hide_input=True)
    body = ChannelBody(channel, kind, address, _content(secret_file) or "", quiet or "30m", description or "", reason)
    with remote(context) as api:
        made = api.post(f"{_HERE}/channels", body, ChannelView)
    if as_json:
        return emit(made)
    if made.secret is not None:
        typer.echo(made.secret)
        typer.echo("the signing secret: shown this once, give it to the receiver", err=True)
    if not made.sealed:
        typer.echo("stored in the clear: set CANARY_SECRET_KEY, and the controller seals it", err=True)
    return typer.echo(f"channel {channel}: {made.address}; subscribe it with `canary notify subscribe`", err=True)


@app.command("set")
def set_(  # noqa: PLR0913 - the options of a command line
    context: typer.Context,
    *,
    channel: Channel,
    on: Annotated[bool | None, typer.Option("--on/--off", help="Switch it on or off; off, its line waits.")] = None,
    address_file: AddressFile = None,
    secret_file: SecretFile = None,
    quiet: Quiet = None,
    description: Description = None,
    reason: Reason = "",
    version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Change a channel."""
    wanted = (on, address_file, secret_file, quiet, description)
    if all(one is None for one in wanted):
        raise typer.BadParameter("nothing to set: see --help")
    with remote(context) as api:
        read_at = version or api.get(_channel_path(channel), ChannelView).version
        address, secret = _content(address_file), _content(secret_file)
        patch = ChannelPatch(read_at, address, secret, on, quiet, description, reason)
        changed = api.patch(_channel_path(channel), patch, ChannelView)
    return emit(changed) if as_json else typer.echo(f"channel {channel}: {_state(changed)}, {changed.address}")


@app.command()
def remove(context: typer.Context, channel: Channel, reason: Reason = "") -> None:
    """End a channel with its subscriptions; what waits in its line is not sent."""
    with remote(context) as api:
        api.delete(f"{_channel_path(channel)}?reason={quote(reason, safe='')}")
    typer.echo(f"channel {channel}: removed")


@app.command("subscriptions")
def subscriptions(context: typer.Context, as_json: Json = False) -> None:
    """List who hears of what."""
    with remote(context) as api:
        found = api.items(f"{_HERE}/subscriptions", SubscriptionView)
    if as_json:
        return emit(found)
    rows = ((s.id, s.channel, s.flag or "all", ", ".join(s.kinds)) for s in found)
    return show(filled(table(">id", "channel", "flag", "kinds"), rows, "no subscriptions yet: canary notify subscribe"))


@app.command()
def subscribe(
    context: typer.Context,
    channel: Channel,
    flag: Annotated[str, typer.Option("--flag", help="One flag and its rollouts; all of them otherwise.")] = "",
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", help="rollout.*, alert.raised, flag.killed ...; rollout.* and alert.* by default."),
    ] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Let a channel hear of a flag, or of all; takes the place of what it heard of it before."""
    with remote(context) as api:
        made = api.post(f"{_HERE}/subscriptions", SubscriptionBody(channel, flag, kind or [], reason), SubscriptionView)
    if as_json:
        return emit(made)
    return typer.echo(f"{channel} hears {', '.join(made.kinds)} of {flag or 'all flags'}")


@app.command()
def unsubscribe(
    context: typer.Context, number: Annotated[int, typer.Argument(metavar="ID", min=1)], reason: Reason = ""
) -> None:
    """End a subscription."""
    with remote(context) as api:
        api.delete(f"{_HERE}/subscriptions/{number}?reason={quote(reason, safe='')}")
    typer.echo(f"subscription {number}: ended")


@app.command("deliveries")
def deliveries(
    context: typer.Context,
    dead: Annotated[bool, typer.Option("--dead", help="Only what was given up.")] = False,
    channel: Annotated[str | None, typer.Option("--channel", help="Of one channel.")] = None,
    most: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="The newest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List what became of each notice, the newest first."""
    only = {name: text for name, text in (("state", "dead" if dead else ""), ("channel", channel)) if text}
    with remote(context) as api:
        found = api.items(f"{_HERE}/deliveries", DeliveryView, most, cursor="before", wanted=only)
    if as_json:
        return emit(found)
    rows = ((d.id, clock_text(d.created_ms), d.channel, d.title, _ended(d)) for d in found)
    return show(filled(table(">id", "when", "channel", "notice", "state"), rows, "none"))


@app.command()
def retry(
    context: typer.Context, number: Annotated[int, typer.Argument(metavar="ID", min=1)], reason: Reason = ""
) -> None:
    """Try a dead letter again."""
    with remote(context) as api:
        api.post(f"{_HERE}/deliveries/{number}/retry", ReasonBody(reason), DeliveryView)
    typer.echo(f"delivery {number}: waits again")


@app.command("test")
def try_(
    context: typer.Context,
    channel: Channel,
    wait: Annotated[int, typer.Option("--wait", min=1, max=600, help="Seconds to wait for the outcome.")] = 30,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Send a test down the way that every notice goes, and say what came of it."""
    with remote(context) as api:
        begun = api.post(f"{_channel_path(channel)}/test", ReasonBody(reason), BegunTest)
        found = _outcome(api, begun.delivery, wait)
    if as_json:
        emit(found)
    if found.state != "delivered":
        why = found.error or "nobody has tried: does a controller lead (`/readyz`, the dashboard's top)?"
        stop(f"The test of {channel} has not arrived within {wait} s: {why}")
    if not as_json:
        typer.echo(f"channel {channel}: the test arrived")


def _outcome(api: Remote, number: int, wait: int) -> DeliveryView:
    """The delivery once it has ended or failed a first time; else as it is when the time is over."""
    deadline = time.monotonic() + wait
    while True:
        found = api.get(f"{_HERE}/deliveries/{number}", DeliveryView)
        if found.state in _OVER or found.error or time.monotonic() > deadline:
            return found
        time.sleep(_LOOK_EVERY_S)


def _content(file: str | None) -> str | None:
    if file is None:
        return None
    text = typer.get_text_stream("stdin").read() if file == "-" else Path(file).read_text(encoding="utf-8")
    return text.strip()


def _channel_path(name: str) -> str:
    return f"{_HERE}/channels/{quote(name, safe='')}"


def _state(channel: ChannelView) -> str:
    return "on" if channel.enabled else "off"


def _ended(one: DeliveryView) -> str:
    tries = f" after {one.attempts}" if one.attempts > 1 else ""
    return f"{one.state}{tries}" + (f": {one.error}" if one.error else "")
