"""The text form of server-sent events (WHATWG HTML, 9.2.6), encoded once for all clients."""

import json
from dataclasses import dataclass

#: A sign of life that says nothing: for evaluators that only listen for changes, and for clients of a controller that
#: cannot vouch for its revision at the moment.
COMMENT = b": still here\n\n"


@dataclass(frozen=True, slots=True)
class Frames:
    """One message as bytes for the wire, and the heartbeat of a topic on which it is the latest."""

    event_id: str
    message: bytes
    heartbeat: bytes


def encode(event_id: str, event: str, data: bytes, *, quiet: bool = False) -> Frames:
    """Encode one message; line ends in `data` (UTF-8) become line feeds. ValueError for an id or event of several.

    `quiet`: its heartbeats are comments.
    """
    for name, value in (("event_id", event_id), ("event", event)):
        if not value or any(mark in value for mark in "\r\n\0"):
            raise ValueError(f"{name} must be one line of text and not empty, got {value!r}")
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    head = f"id: {event_id}\nevent: {event}\n".encode()
    message = head + b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
    return Frames(event_id, message, COMMENT if quiet else heartbeat(event_id))


def counted(heartbeat: bytes, instances: int) -> bytes:
    """A heartbeat that also says how many clients there are; a comment says nothing."""
    if not instances or heartbeat == COMMENT:
        return heartbeat
    return heartbeat.replace(b"}", f', "instances": {instances}}}'.encode())


def heartbeat(revision: str | None) -> bytes:
    """The sign of life of a topic: `revision` is the id of its latest message, None before the first.

    It has no id of its own, so it leaves the client's Last-Event-ID alone.
    """
    return b"event: heartbeat\ndata: " + json.dumps({"revision": revision}).encode() + b"\n\n"
