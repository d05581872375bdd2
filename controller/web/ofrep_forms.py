"""The forms of OFREP 0.3: what a request asks for, and how faults are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from controller.domain.errors import Refusal


@dataclass(frozen=True, slots=True)
class Asked:
    """For whom flags are to be evaluated."""

    key: str
    attributes: dict[str, Any]


class Fault(Exception):
    """A request that cannot be evaluated: OpenFeature's error code and why; `unread` where it could not be read."""

    def __init__(self, code: str, details: str, *, unread: bool = False) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.unread = unread


def asked(raw: bytes) -> Asked:
    """Read a request whatever its content type says.

    Raises:
        Fault: it is no JSON object, its context is no object, or it names nobody.
    """
    context = _document(raw).get("context", {})
    if not isinstance(context, dict):
        raise Fault("INVALID_CONTEXT", "the context must be an object with a targetingKey")
    key = context.get("targetingKey")
    if key is None or key == "":
        raise Fault("TARGETING_KEY_MISSING", "pass the user as context.targetingKey")
    if not isinstance(key, str):
        raise Fault("INVALID_CONTEXT", f"targetingKey must be text, not {type(key).__name__}")
    return Asked(key, context)


def failure(fault: Fault, key: str | None = None) -> bytes:
    """The body of a 400."""
    named = {"key": key[:200]} if key is not None else {}
    return msgspec.json.encode({**named, "errorCode": fault.code, "errorDetails": fault.details})


def refusal_body(refusal: Refusal, key: str | None) -> bytes:
    """The body of whatever else goes wrong."""
    named = {"key": key[:200]} if key else {}
    details = refusal.detail or refusal.title
    return msgspec.json.encode({**named, "errorCode": "GENERAL", "errorDetails": details})


def _document(raw: bytes) -> dict[str, Any]:
    if not raw:
        return {}
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Fault("PARSE_ERROR", f"the body is not valid JSON: {error}"[:300], unread=True) from None
    if not isinstance(document, dict):
        raise Fault("PARSE_ERROR", "the body must be an object with a context", unread=True)
    return document
