"""What OFREP answers, whichever way a request came in: through Flask, or beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from werkzeug.http import parse_etags

from controller.web.channels import Channels
from controller.web.ofrep_forms import Fault, asked, failure
from controller.web.state import Current

#: Where the flags are asked for; one flag's key follows after a slash.
FLAGS = "/ofrep/v1/evaluate/flags"
#: Where evaluators hear that something changed.
EVENTS = "/ofrep/v1/events"
#: Bytes of a request, packed or unpacked.
MOST_BYTES = 64 * 1024

#: A stream that a page keeps open while nobody looks at it is closed after this.
_INACTIVITY_S = 120


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in JSON; `etag` in its quotes, where it has one."""

    status: int
    body: bytes
    etag: str = ""


def one(current: Current, age_s: float, key: str, raw: bytes) -> Reply:
    """One flag for one user, from flags that are so old."""
    try:
        user = asked(raw)
        found = current.answers.one(key, user.key, user.attributes, age_s)
    except Fault as fault:
        if key not in current.answers and not fault.unread:
            return _unknown(key)
        return Reply(400, failure(fault, key))
    return Reply(200, found) if found is not None else _unknown(key)


def every(current: Current, age_s: float, raw: bytes, channels: Channels, if_none_match: str | None) -> Reply:
    """All flags for one user; 304 while the client holds exactly these answers."""
    try:
        user = asked(raw)
    except Fault as fault:
        return Reply(400, failure(fault))
    members, digest = current.answers.every(user.key, user.attributes, age_s)
    # The token of the stream is no part of the answer, but a client must learn of a new one before its own expires.
    tag = f"{digest}-{channels.period:x}"
    if if_none_match and parse_etags(if_none_match).contains_weak(tag):
        return Reply(304, b"", f'"{tag}"')
    stream = {"type": "sse", "endpoint": {"requestUri": f"{EVENTS}?channel={channels.token()}"}}
    streams = msgspec.json.encode([{**stream, "inactivityDelaySec": _INACTIVITY_S}])
    parts = (b'{"flags":[', members, b'],"metadata":', current.answers.metadata, b',"eventStreams":', streams, b"}")
    return Reply(200, b"".join(parts), f'"{tag}"')


def _unknown(key: str) -> Reply:
    details = f"there is no flag {key[:140]!r}"
    body: dict[str, Any] = {"key": key[:200], "errorCode": "FLAG_NOT_FOUND", "errorDetails": details}
    return Reply(404, msgspec.json.encode(body))
