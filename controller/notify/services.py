"""Everything that apprise knows how to reach: Slack, Teams, e-mail, PagerDuty and a hundred others."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

from controller.domain.deliveries import Result
from controller.domain.errors import Invalid
from controller.notify.secrecy import quieten, redacted
from controller.usecases.posting import Job

if TYPE_CHECKING:
    from apprise import AppriseAsset

#: What shows something on the controller's own machine, where nobody looks.
_LOCAL = ("dbus", "qt", "glib", "kde", "gnome", "macosx", "windows", "syslog")
_MOST_BODY = 4_000


def read_address(address: str) -> str:
    """Check an apprise address; returns it without what is secret in it.

    Raises:
        Invalid: apprise cannot use it, it shows something on this machine alone, or it reaches several places: one
        that fails would have all of them told again.
    """
    scheme = address.partition("://")[0].lower()
    if scheme in _LOCAL:
        raise Invalid(f"{scheme}:// shows something on the controller's own machine alone", field="address")
    plugin = _plugin(address)
    if plugin is None:
        raise Invalid(
            "apprise cannot use this address; https://appriseit.com/services/ has the form of each service",
            field="address",
        )
    if len(plugin) > 1:
        raise Invalid(f"this reaches {len(plugin)} places; make a channel for each of them", field="address")
    return str(plugin.url(privacy=True)).partition("?")[0]


def send(job: Job, link: str) -> Result:
    """One attempt. The idempotency key goes into a header where the service has headers, and into the text."""
    from apprise import Apprise  # noqa: PLC0415 - it takes a while to load, and most controllers need it rarely

    plugin = _plugin(job.address)
    if plugin is None:
        return Result("apprise cannot use this address any more", refused=True)
    _identify(plugin, job)
    sender = Apprise(asset=_asset())
    sender.add(plugin)
    message = job.message
    try:
        result = sender.notify(
            title=message.title,
            body=text_of(job, link),
            notify_type=message.severity.value,
            body_format="text",
            log_level=logging.WARNING,
        )
    except Exception as error:  # noqa: BLE001 - a hundred plug-ins may raise anything
        return Result(redacted(f"{type(error).__name__}: {error}", job.address))
    if result:
        return Result()
    said = "; ".join(entry.message for entry in result.logs())
    return Result(redacted(said or "the service did not take it and did not say why", job.address))


def text_of(job: Job, link: str) -> str:
    """What happened, why, what to do, with a link; as plain text, which every service can show."""
    message = job.message
    parts = [message.why, message.todo and f"What to do: {message.todo}", link]
    if job.repeats:
        parts.append(f"{job.repeats} more like this were kept quiet before it.")
    parts.append(f"({job.notice.kind}, {job.key})")
    return "\n\n".join(part for part in parts if part)[:_MOST_BODY]


def _identify(plugin: Any, job: Job) -> None:
    """The idempotency key, in the form that a service has for it."""
    headers = getattr(plugin, "headers", None)
    if isinstance(headers, dict):
        headers.setdefault("X-Idempotency-Key", job.key)
    if hasattr(plugin, "dedup") and not plugin.dedup:  # PagerDuty: what clears an alert ends the incident it opened
        plugin.dedup = f"canary/{job.environment}/{job.notice.topic}"[:255]


def _plugin(address: str) -> Any:
    from apprise import Apprise  # noqa: PLC0415

    quieten()
    return Apprise.instantiate(address, asset=_asset())


@cache
def _asset() -> AppriseAsset:
    from apprise import AppriseAsset  # noqa: PLC0415

    # Without time limits of its own it works on the thread that calls it, which is the channel's lane.
    return AppriseAsset(
        app_id="canary-controller",
        app_desc="canary-controller",
        http_redirects=False,
        secure_logging=True,
        async_mode=False,
        service_timeout=0,
        storage_mode="memory",
    )
