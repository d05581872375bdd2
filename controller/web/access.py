"""Who may do what: bearer tokens, browsers' passwords, and the open reading of a server on loopback."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask import Flask, current_app, g, request

from controller.clock import Clock
from controller.domain.errors import Forbidden, Refusal, Unauthenticated
from controller.domain.principals import Need, Principal, Role
from controller.storage import tokens
from controller.web.asgi import Problem
from controller.web.http import Misdirected
from controller.web.services import Services

if TYPE_CHECKING:
    from controller.web.server import StreamRequest  # the HTTP server itself is not needed to decide

View = TypeVar("View", bound=Callable[..., Any])

#: How long a token is believed without asking the database again; a revoked one works no longer than this.
MEMORY_MS = 5_000

_NAME = "controller"
_MOST_REMEMBERED = 1_000
_MOST_CHARACTERS = 512
_ANYBODY = Principal("anonymous", Role.VIEWER)
#: What a server on loopback lets everybody do.
_OPEN = frozenset({Need.READ, Need.EXPORT})


class Gate:
    """Decides who a request comes from; remembers good tokens for a few seconds, by their hash."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._hosts = frozenset(host.lower().strip("[]") for host in services.hosts)
        self._known = _Memory(services.clock)

    def admit(self, need: Need, authorization: str | None, host: str | None) -> Principal:
        """The principal behind an Authorization header.

        Raises:
            Unauthenticated: no token, or not a good one. Forbidden: its role does not allow this. Misdirected: open
            reading under a foreign host name, which is how a web page would read a local server (DNS rebinding).
        """
        if authorization is None and need in _OPEN and self._services.open_reading:
            if _host_name(host or "") not in self._hosts:
                raise Misdirected(f"reading without a token works under {', '.join(sorted(self._hosts))} alone")
            return _ANYBODY
        principal = self._principal(_token(authorization, need))
        if not principal.may(need):
            raise _forbidden(principal, need)
        return principal

    def remembered(self, need: Need, authorization: str | None) -> Principal | None:
        """The same for a token that was seen a moment ago, without asking the database; None where that takes asking.

        Raises:
            Unauthenticated, Forbidden: as above.
        """
        principal = self._known.get(_digest(_token(authorization, need)))
        if principal is not None and not principal.may(need):
            raise _forbidden(principal, need)
        return principal

    def check_stream(self, request: StreamRequest, need: Need) -> Problem | None:
        """The same decision for the streams, which Flask does not serve: None lets the client in."""
        try:
            self.admit(need, request.headers.get("authorization"), request.headers.get("host"))
        except Refusal as refusal:
            headers = (("WWW-Authenticate", "Bearer"),) if isinstance(refusal, Unauthenticated) else ()
            return Problem(refusal.status, refusal.code, refusal.title, refusal.detail, headers)
        return None

    def _principal(self, token: str) -> Principal:
        digest = _digest(token)
        principal = self._known.get(digest)
        if principal is None:
            with self._services.database.read() as connection:
                principal = tokens.authenticate(connection, token)
            if principal is None:
                raise Unauthenticated("this token is not known here, or no longer")
            self._known.put(digest, principal)
        return principal


class _Memory:
    """A small map that forgets."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[bytes, tuple[Principal, int]] = {}

    def get(self, digest: bytes) -> Principal | None:
        with self._lock:
            found = self._found.get(digest)
        if found is None or not 0 <= self._clock() - found[1] < MEMORY_MS:  # a clock set back must not prolong it
            return None
        return found[0]

    def put(self, digest: bytes, principal: Principal) -> None:
        with self._lock:
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()
            self._found[digest] = (principal, self._clock())


def join(app: Flask, services: Services) -> None:
    """Hand the services and a gate to an application's routes."""
    app.extensions[_NAME] = (services, Gate(services))


def gate_of(app: Flask) -> Gate:
    """The gate of an application, for what is served beside it: a token that one has seen, the other knows."""
    return cast("Gate", app.extensions[_NAME][1])


def services() -> Services:
    """What the present application's routes work with."""
    return cast("Services", current_app.extensions[_NAME][0])


def principal() -> Principal:
    """Who the present request comes from."""
    return cast("Principal", g.principal)


def needs(need: Need) -> Callable[[View], View]:
    """Let only those call a view who may do what it asks for."""

    def mark(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            gate = gate_of(current_app)
            g.principal = gate.admit(need, _authorization(), request.environ.get("HTTP_HOST"))
            return view(*args, **kwargs)

        guarded.__dict__["need"] = need
        return cast("View", guarded)

    return mark


def _authorization() -> str | None:
    """The Authorization header; or the key that OFREP's clients and flagd may send instead."""
    given: str | None = request.environ.get("HTTP_AUTHORIZATION")
    key = request.environ.get("HTTP_X_API_KEY")
    return f"Bearer {key}" if given is None and key is not None else given


def open_to_all(view: View) -> View:
    """Mark a view that anybody may call: health, and the files that pages are drawn with."""
    view.__dict__["need"] = None
    return view


def check_routes(app: Flask) -> None:
    """Make sure that no route was forgotten.

    Raises:
        RuntimeError: a view says neither what it needs nor that it is open to all.
    """
    bare = [name for name, view in app.view_functions.items() if "need" not in view.__dict__]
    if bare:
        raise RuntimeError(f"say who may call these views (needs or open_to_all): {', '.join(sorted(bare))}")


def _forbidden(principal: Principal, need: Need) -> Forbidden:
    return Forbidden(f"role {principal.role.value} may not do this; it needs the right to {need.value}")


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _token(authorization: str | None, need: Need) -> str:
    scheme, _, given = (authorization or "").strip().partition(" ")
    given = given.strip()
    if len(given) > _MOST_CHARACTERS or not given:
        raise Unauthenticated("send `Authorization: Bearer TOKEN`; `canary token create` makes one")
    if scheme.lower() == "bearer":
        return given
    if scheme.lower() == "basic" and need is Need.READ:
        # Browsers send a password along with whatever any page asks of them: so it reads, and changes nothing.
        return _password(given)
    raise Unauthenticated("send `Authorization: Bearer TOKEN`; a password is taken for reading alone")


def _password(given: str) -> str:
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        raise Unauthenticated("the password could not be read; it is the token") from None


def _host_name(host: str) -> str:
    """The name in a Host header, without its port; an IPv6 address without its brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")
