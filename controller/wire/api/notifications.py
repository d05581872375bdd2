"""Channels, subscriptions and deliveries. Addresses and secrets go in and never come out."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from controller.wire.api.common import MOST_NUMBER, Limit, Reason, Version

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Address = Annotated[str, Meta(min_length=1, max_length=2_000)]
Secret = Annotated[str, Meta(max_length=200)]
Words = Annotated[str, Meta(max_length=500)]


class ChannelBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new channel; `quiet` is a duration such as `30m`."""

    name: Name
    kind: str
    address: Address
    secret: Secret = ""
    quiet: str = "30m"
    description: Words = ""
    reason: Reason = ""


class ChannelPatch(msgspec.Struct, forbid_unknown_fields=True):
    """A change of a channel at the version it was read at."""

    version: Version
    address: Address | None = None
    secret: Secret | None = None
    enabled: bool | None = None
    quiet: str | None = None
    description: Words | None = None
    reason: Reason = ""


class ChannelView(msgspec.Struct):
    """A channel; its signing secret is shown once, when it is made.

    Attributes:
        address: without what is secret in it. sealed: whether address and secret are encrypted in the database.
        waiting, dead: deliveries that wait, and that were given up.
    """

    name: str
    kind: str
    address: str
    sealed: bool
    enabled: bool
    quiet: str
    description: str
    version: int
    updated_ms: int
    waiting: int = 0
    dead: int = 0
    secret: str | None = None


class SubscriptionBody(msgspec.Struct, forbid_unknown_fields=True):
    """What a channel is to hear: of one flag, or of all; kinds such as `rollout.*` and `alert.raised`."""

    channel: str
    flag: str = ""
    kinds: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=50)] = []
    reason: Reason = ""


class EndingQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Why a subscription ends."""

    reason: Reason = ""


class SubscriptionView(msgspec.Struct):
    """What a channel hears."""

    id: int
    channel: str
    flag: str
    kinds: list[str]
    created_ms: int


class DeliveryView(msgspec.Struct):
    """What became of a notice on a channel.

    Attributes:
        state: waiting, sending, delivered, dead or quiet.
        flag: that it is about; empty where it is about none.
        due_ms: when it is tried next, while it waits. error: what the channel said last.
    """

    id: int
    notice: int
    channel: str
    kind: str
    subject: str
    title: str
    state: str
    attempts: int
    created_ms: int
    due_ms: int
    settled_ms: int | None
    error: str
    flag: str = ""


class BegunTest(msgspec.Struct):
    """A test that is under way: its delivery tells how it ends."""

    delivery: int


class DeliveryQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which deliveries, the newest first."""

    before: Annotated[int, Meta(ge=1, le=MOST_NUMBER, description="Older than this id.")] = MOST_NUMBER
    limit: Limit = 100
    state: Annotated[
        Literal["", "waiting", "sending", "delivered", "dead", "quiet"], Meta(description="Only those; dead: given up.")
    ] = ""
    channel: Annotated[str, Meta(max_length=64, description="Only of this channel.")] = ""
