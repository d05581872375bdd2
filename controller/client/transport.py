"""Where the controller is, how it is asked, and what its answers mean to a client."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from controller import __version__
from controller.client.pace import Pace

#: A document larger than this is not read to its end.
MOST_BODY = 8 * 1024 * 1024

_MOST_RETRY_AFTER_S = 60.0
_RETRY = frozenset({401, 403, 408, 425, 429})
_REFUSED = frozenset({400, 413, 422})


#: What reports say of this library.
SDK = f"python {__version__}"


def process_name() -> str:
    """A name for this process that no other one has: host, process id and a random part."""
    return f"{socket.gethostname()[:64]}-{os.getpid()}-{secrets.token_hex(3)}"


def forked_name(instance: str) -> str:
    """The name of a forked child, made from its parent's."""
    return f"{instance[:100]}-{os.getpid()}"


def checked_instance(instance: str) -> str:
    """An instance name that fits into a header and a report.

    Raises:
        ValueError: anything but 1 to 128 printable ASCII characters.
    """
    if not (0 < len(instance) <= 128 and instance.isascii() and instance.isprintable()):
        raise ValueError(f"instance must be 1 to 128 printable ASCII characters, not {instance[:140]!r}")
    return instance


class Endpoint:
    """The controller's address and the token to show there.

    Raises:
        ValueError: the address is not http(s), or the token cannot be sent in a header.
    """

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url must be like https://canary.example.com, not {url!r}")
        if not (token and token.isascii() and token.isprintable()):
            raise ValueError("token must be printable ASCII: make one with `canary token create --role sdk`")
        self.url = url.rstrip("/")
        self._authorization = f"Bearer {token}"

    def http(self, pace: Pace, read: float) -> httpx.Client:
        """A connection pool; one thread uses it."""
        timeout = httpx.Timeout(pace.answer, connect=pace.connect, read=read)
        return httpx.Client(base_url=self.url, timeout=timeout, headers={"Authorization": self._authorization})


class Line:
    """The connection that a thread waits on, so that another thread can end the wait.

    Closing a socket does not wake the thread that reads from it; shutting it down does.
    """

    def __init__(self) -> None:
        self._stream: httpcore.NetworkStream | None = None
        self._cut = False

    @property
    def extensions(self) -> dict[str, Any]:
        """To be passed with each request."""
        return {"trace": self._trace}

    def cut(self) -> None:
        """End whatever is waited for on this line, now and from now on."""
        self._cut = True
        connection = self._stream.get_extra_info("socket") if self._stream is not None else None
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._stream = info["return_value"]
            if self._cut:
                self.cut()


class Word(Enum):
    """What an answer to a report means."""

    ACKNOWLEDGED = auto()
    RETRY = auto()
    REFUSED = auto()


def word_of(response: httpx.Response) -> Word:
    """Whether a batch is committed, is to be sent again, or will never be taken.

    A refusal counts only in the controller's own words (a problem document) or where the status leaves no doubt: a
    404 of a proxy during a deploy must not cost a batch.
    """
    status = response.status_code
    if 200 <= status < 300:
        return Word.ACKNOWLEDGED
    ours = response.headers.get("Content-Type", "").startswith("application/problem+json")
    if 400 <= status < 500 and status not in _RETRY and (ours or status in _REFUSED):
        return Word.REFUSED
    return Word.RETRY


def retry_after(response: httpx.Response) -> float:
    """Seconds to wait before asking again, at most 60; 0 where the answer does not say.

    A date is read against the answer's own Date header: the local wall clock is never asked.
    """
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _MOST_RETRY_AFTER_S)
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(response.headers.get("Date", ""))
    except (TypeError, ValueError):
        return 0.0
    return min(max(wait.total_seconds(), 0.0), _MOST_RETRY_AFTER_S)


def bounded_body(response: httpx.Response, within_s: float) -> bytearray:
    """The body of a streamed answer.

    Raises:
        ValueError: it is larger than 8 MiB, or still not complete after so many seconds (a read timeout alone would let
            a server that sends a byte now and then hold us for ever).
    """
    body = bytearray()
    until = time.monotonic() + within_s
    for chunk in response.iter_bytes():
        body += chunk
        if time.monotonic() > until:
            raise ValueError(f"the answer was not complete within {within_s:g} s")
        if len(body) > MOST_BODY:
            raise ValueError(f"the answer is larger than {MOST_BODY} bytes")
    return body
