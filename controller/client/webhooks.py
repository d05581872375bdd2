"""For receivers of the controller's signed webhooks: whether a message is its own, whole, and of this moment."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

#: The replay window: a message signed longer ago, or further ahead, is refused.
WINDOW_S = 300


class UntrustedMessage(ValueError):
    """The message is not to be believed; the text says why, for a log."""


def verify(body: bytes, headers: Mapping[str, str], secret: str, now_s: float) -> dict[str, Any]:
    """The message, once it is proven to be the controller's.

    Args:
        body: as it was received, byte for byte.
        headers: names in any case.
        secret: the channel's signing secret; `canary notify add` shows it once.
        now_s: seconds since the epoch, by the receiver's clock.

    Returns:
        type, timestamp and data. A message may come again after a crash: remember `data["id"]` for as long as a day,
        and do nothing for an id that you know.

    Raises:
        UntrustedMessage: a header is missing, the signature is another's, or it was signed outside the window.
    """
    known = {name.lower(): value for name, value in headers.items()}
    try:
        number, stamp, signatures = (known[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as missing:
        raise UntrustedMessage(f"the header {missing.args[0]} is missing") from None
    if not stamp.isdecimal() or abs(now_s - int(stamp)) > WINDOW_S:
        raise UntrustedMessage(f"it was not signed within {WINDOW_S} s of now: is it a replay, or is a clock wrong?")
    signed = hmac.new(signing_key(secret), f"{number}.{stamp}.".encode() + body, sha256).digest()
    expected = f"v1,{b64encode(signed).decode()}".encode()
    if not any(hmac.compare_digest(expected, one.encode()) for one in signatures.split()):
        raise UntrustedMessage("the signature does not fit: another secret, or the body was changed on its way")
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UntrustedMessage(f"it was signed, but is no JSON object: {error}") from None


def signing_key(secret: str) -> bytes:
    """The bytes to sign with: what stands behind `whsec_` in base64, or the text itself."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return b64decode(secret.removeprefix("whsec_"), validate=True)
    except NotBase64:
        return secret.encode()
