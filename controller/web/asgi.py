"""The few ASGI words that the bridge, the streams and the server share: types, header look-up and problem answers."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Problem:
    """An error answer in the form of RFC 9457."""

    #: HTTP status code, 400 to 599
    status: int
    #: the stable name that programs may rely on, e.g. ``body_too_large``
    code: str
    #: one line that is the same for every occurrence
    title: str
    #: what happened this time and what to do about it
    detail: str
    #: further header fields, e.g. ``("Retry-After", "2")``
    headers: tuple[tuple[str, str], ...] = ()

    def body(self) -> bytes:
        """The JSON document that goes over the wire."""
        told = {"title": self.title, "status": self.status, "detail": self.detail, "code": self.code}
        return json.dumps({"type": "about:blank"} | told).encode()


def header(scope: Scope, name: bytes) -> str | None:
    """The value of the first header field called `name` (lower case), or None."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1")
    return None


async def send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send one complete answer."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def send_problem(scope: Scope, send: Send, problem: Problem) -> None:
    """Answer the request of `scope` with `problem`; a HEAD request gets the header fields only."""
    body = problem.body()
    headers = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
    headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in problem.headers]
    headers.append((b"content-length", str(len(body)).encode()))
    await send_whole(send, problem.status, headers, b"" if scope["method"] == "HEAD" else body)
