"""The forms an event takes on the wire, and their encoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from controller.emitters.types import AUTH_EVENTS, CRITICAL_EVENTS, EventData

__all__ = ["Envelope", "Event", "UnsendableEventError", "encode", "iso_time", "unified_envelope"]

_CRITICAL: Final = frozenset((*CRITICAL_EVENTS, *AUTH_EVENTS))
_encoder: Final = msgspec.json.Encoder()


class UnsendableEventError(ValueError):
    """The event has no JSON form, or one larger than a client would read."""


class Event(msgspec.Struct, frozen=True):
    """What an envelope is made from. `user_id` is the emitter's: nothing in `data` decides who receives the event."""

    event_id: str
    event_type: str
    user_id: str
    run_id: str | None
    thread_id: str | None
    data: EventData
    #: ISO 8601 with its offset, UTC.
    timestamp: str


#: Makes the wire form of an event. Every form carries `event_id`, so that clients can acknowledge and drop repeats.
Envelope = Callable[[Event], Mapping[str, Any]]


def unified_envelope(event: Event) -> Mapping[str, Any]:
    """The unified emitter's form: {type, event_id, data, timestamp, critical, attempt}; the first `attempt` is null."""
    return {
        "type": event.event_type,
        "event_id": event.event_id,
        "data": event.data,
        "timestamp": event.timestamp,
        "critical": event.event_type in _CRITICAL,
        "attempt": None,
    }


def encode(message: Mapping[str, Any], max_bytes: int) -> bytes:
    """JSON in UTF-8.

    Raises:
        UnsendableEventError: a value has no JSON form, or the frame is longer than `max_bytes`.
    """
    try:
        frame = _encoder.encode(message)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise UnsendableEventError(f"data has no JSON form ({error}): send JSON values") from error
    if len(frame) > max_bytes:
        raise UnsendableEventError(f"data makes a frame of {len(frame)} bytes, more than {max_bytes}: send parts")
    return frame


@lru_cache(maxsize=8)  # events come in bursts
def iso_time(now_ms: int) -> str:
    """Milliseconds since the epoch as ISO 8601, UTC."""
    second, millisecond = divmod(now_ms, 1_000)
    return f"{_iso_second(second)}.{millisecond:03d}+00:00"


@lru_cache(maxsize=8)
def _iso_second(second: int) -> str:
    return datetime.fromtimestamp(second, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
