"""The short way for evaluations: what needs neither the database nor a worker thread is answered without Flask.

Nothing is decided here that Flask's way would decide otherwise: whatever is unusual about a request (a token that is
not remembered, flags that have to be read again, an encoding, a query, an error) goes the long way.
"""

from __future__ import annotations

import logging
from secrets import token_hex

from controller.domain.errors import Refusal
from controller.domain.instances import Contact
from controller.domain.principals import Need
from controller.web.access import Gate
from controller.web.asgi import Headers, Scope
from controller.web.cors import cors_headers
from controller.web.evaluations import FLAGS, MOST_BYTES, Reply, every, one
from controller.web.gateway import Answer
from controller.web.http import HEADERS
from controller.web.services import Services

_log = logging.getLogger(__name__)

_READ = frozenset({b"authorization", b"origin", b"if-none-match"})
_UNUSUAL = frozenset({b"content-encoding", b"x-request-id", b"x-api-key"})
_FIXED: Headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class Express:
    """Answers evaluations on the event loop, where it can; never blocks, and raises nothing."""

    def __init__(self, services: Services, gate: Gate) -> None:
        self._services = services
        self._gate = gate

    def __call__(self, scope: Scope, body: bytes) -> Answer | None:
        """The answer to a request whose body has been read; None: ask Flask."""
        path: str = scope["path"]
        if not path.startswith(FLAGS) or scope["method"] != "POST" or scope["query_string"] or len(body) > MOST_BYTES:
            return None
        try:
            return self._answer(scope, path[len(FLAGS) :], body)
        except Refusal:  # told in the form that the long way has for it
            return None
        except Exception:  # noqa: BLE001 - the long way fails in the same manner, and tells the client so
            _log.exception("an evaluation failed")
            return None

    def _answer(self, scope: Scope, rest: str, body: bytes) -> Answer | None:
        headers = _usual(scope["headers"])
        if headers is None or (rest and (rest[0] != "/" or not rest[1:])) or b"%" in scope.get("raw_path", b"%"):
            return None
        here = self._services
        principal = self._gate.remembered(Need.EVALUATE, headers.get(b"authorization"))
        current = here.flags.ready()
        if principal is None or current is None:
            return None
        here.pace.admit(principal.name)
        here.contacts.note(Contact(f"ofrep/{principal.name}", False, current.revision, here.clock()))
        if rest:
            reply = one(current, 0.0, rest[1:], body)
        else:
            reply = every(current, 0.0, body, here.channels, headers.get(b"if-none-match"))
        return _written(reply, cors_headers(headers.get(b"origin"), here.origins))


def _usual(headers: Headers) -> dict[bytes, str] | None:
    """The fields that matter; None where there is one that the long way has to look at, or one is given twice."""
    found: dict[bytes, str] = {}
    for name, value in headers:
        if name in _UNUSUAL or name in found:
            return None
        if name in _READ:
            found[name] = value.decode("latin-1")
    return found


def _written(reply: Reply, said: dict[str, str]) -> Answer:
    headers = [*_FIXED, (b"x-request-id", token_hex(8).encode())]
    if reply.etag:
        headers.append((b"etag", reply.etag.encode()))
    headers += [(name.lower().encode(), value.encode()) for name, value in said.items()]
    if reply.status != 304:
        length = str(len(reply.body)).encode()
        headers += ((b"content-type", b"application/json"), (b"content-length", length))
    return Answer(reply.status, headers, reply.body)
