"""Our own webhook, for machines: JSON, signed as Standard Webhooks 1.0 (https://www.standardwebhooks.com) describes.

The signature is HMAC-SHA256 over `id.timestamp.body`; the receiver refuses timestamps more than five minutes away and
ids that it has seen. Each attempt is signed anew with the present time; its id, the idempotency key, stays the same.
"""

from __future__ import annotations

import hmac
import time
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from controller import __version__
from controller.domain.deliveries import Result
from controller.domain.errors import Invalid
from controller.notify.secrecy import redacted
from controller.usecases.posting import Job

#: Seconds for connecting and for each read, and for an attempt as a whole.
_STEP_S, _WHOLE_S = 5.0, 15.0
#: Bytes of an answer that are looked at.
_MOST_ANSWER = 4_096
#: Answers that say "not now" rather than "never".
_PASSING = (408, 425, 429)
#: A `Retry-After` of more digits is nonsense.
_MOST_DIGITS = 8


def read_address(address: str) -> str:
    """Check a webhook's address; returns it without what may be secret in it: path, query, user and password.

    Raises:
        Invalid: it is no http or https address.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise Invalid(f"it cannot be read: {error}", field="address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c.isspace() for c in address):
        raise Invalid("write https://HOST/PATH (or http:// inside your own network)", field="address")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}/..."


def body_of(job: Job, link: str) -> bytes:
    """The document that is sent."""
    notice, message = job.notice, job.message
    document: dict[str, Any] = {
        "type": notice.kind,
        "timestamp": datetime.fromtimestamp(notice.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "data": {
            "id": job.key,
            "sequence": notice.id,
            "environment": job.environment,
            "subject": notice.subject,
            "severity": message.severity.value,
            "title": message.title,
            "actor": notice.actor,
            "alert": notice.alert,
            "why": message.why,
            "todo": message.todo,
            "link": link,
            "repeats": job.repeats,
        },
    }
    return msgspec.json.encode(document)


def headers_of(job: Job, body: bytes, now_s: int) -> dict[str, str]:
    """The signature and the idempotency key."""
    signed = hmac.new(_key(job.secret), f"{job.key}.{now_s}.".encode() + body, sha256).digest()
    return {
        "content-type": "application/json",
        "user-agent": f"canary-controller/{__version__}",
        "idempotency-key": job.key,
        "webhook-id": job.key,
        "webhook-timestamp": str(now_s),
        "webhook-signature": f"v1,{b64encode(signed).decode()}",
    }


def send(job: Job, link: str, now_s: int) -> Result:
    """One attempt. Redirects are not followed: they would carry a signed message to somebody else."""
    body = body_of(job, link)
    deadline = time.monotonic() + _WHOLE_S
    try:
        with (
            httpx.Client(timeout=_STEP_S, follow_redirects=False) as http,
            http.stream("POST", job.address, content=body, headers=headers_of(job, body, now_s)) as answer,
        ):
            said = b""
            for chunk in answer.iter_raw():
                said = (said + chunk)[:_MOST_ANSWER]
                if len(said) >= _MOST_ANSWER or time.monotonic() > deadline:
                    break
            return _result(job, answer, said, now_s)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Result(redacted(f"{type(error).__name__}: {error}", job.address, job.secret))


def _result(job: Job, answer: httpx.Response, said: bytes, now_s: int) -> Result:
    if answer.is_success:
        return Result()
    text = said.decode("utf-8", "replace")
    error = redacted(f"answered {answer.status_code} {answer.reason_phrase}: {text}", job.address, job.secret)
    refused = answer.status_code < 500 and answer.status_code not in _PASSING
    return Result(error, refused, _pause_ms(answer.headers.get("retry-after", ""), now_s))


def _pause_ms(asked: str, now_s: int) -> int | None:
    """The pause that `Retry-After` asks for: seconds or a date (RFC 9110, section 10.2.3); else None."""
    if asked.isdecimal() and asked.isascii():
        return int(asked) * 1000 if len(asked) < _MOST_DIGITS else None
    try:
        until = parsedate_to_datetime(asked)
    except ValueError:
        return None
    return max(0, int(until.replace(tzinfo=until.tzinfo or UTC).timestamp()) - now_s) * 1000


def _key(secret: str) -> bytes:
    """The signing key: what stands behind `whsec_` in base64, or the text itself."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return secret.encode()
