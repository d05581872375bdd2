"""Who may do what: bearer tokens, sessions of browsers, and the open reading of a server on loopback."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask import Flask, Response, current_app, g, request

from controller.clock import Clock
from controller.domain.errors import Forbidden, Refusal, Unauthenticated, Unavailable
from controller.domain.orders import Order
from controller.domain.principals import Need, Principal, Role
from controller.storage.database import Database
from controller.usecases import sessions, tokens
from controller.web.asgi import Problem
from controller.web.http import Misdirected, headers_of, request_id
from controller.web.services import Services
from controller.web.sessions import SAFE, check_csrf, secret_in, sign_in_address

if TYPE_CHECKING:
    from controller.web.server import StreamRequest  # the HTTP server itself is not needed to decide

View = TypeVar("View", bound=Callable[..., Any])
Recognise = Callable[[Database, str, int], Principal | None]

#: How long a token or a session is believed without asking the database again; an ended one works no longer than this.
MEMORY_MS = 5_000
#: While the database cannot be asked, how long a token that worked goes on to evaluate, and to do nothing else: whoever
#: asks for answers must have them during an outage, too.
BLIND_MS = 3_600_000

_NAME = "controller"
_MOST_REMEMBERED = 1_000
_MOST_CHARACTERS = 512
#: Whoever reads an open server without saying who they are.
ANYBODY = Principal("anonymous", Role.VIEWER)
#: What a server on loopback lets everybody do.
_OPEN = frozenset({Need.READ, Need.EXPORT})


@dataclass(frozen=True, slots=True)
class Entry:
    """Who has come in; `session` is the secret of the session that let them in, if it was one."""

    principal: Principal
    session: str | None = None


class Gate:
    """Decides who a request comes from; remembers good tokens and sessions for a few seconds, by their hash."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._hosts = frozenset(host.lower().strip("[]") for host in services.hosts)
        self._known = _Memory(services.clock)

    def admit(self, need: Need, authorization: str | None, host: str | None, cookies: str | None = None) -> Entry:
        """Who is behind an Authorization header, or else behind the cookie of a session.

        Raises:
            Unauthenticated: no token and no session, or not a good one. Forbidden: the role does not allow this.
            Misdirected: open reading under a foreign host name, which is how a web page would read a local server (DNS
            rebinding).
        """
        entry = self._entry(need, authorization, cookies)
        if entry is None:
            if need not in _OPEN or not self._services.open_reading:
                raise Unauthenticated("send `Authorization: Bearer TOKEN` (see `canary token create`), or sign in")
            if _host_name(host or "") not in self._hosts:
                raise Misdirected(f"reading without a token works under {', '.join(sorted(self._hosts))} alone")
            return Entry(ANYBODY)
        if not entry.principal.may(need):
            raise _forbidden(entry.principal, need)
        return entry

    def remembered(self, need: Need, authorization: str | None) -> Principal | None:
        """The same for a token that was seen a moment ago, without asking the database; None where that takes asking.

        Raises:
            Unauthenticated, Forbidden: as above.
        """
        principal = self._known.get(_digest(b"token", _token(authorization, need)))
        if principal is not None and not principal.may(need):
            raise _forbidden(principal, need)
        return principal

    def check_stream(self, request: StreamRequest, need: Need) -> Problem | None:
        """The same decision for the streams, which Flask does not serve: None lets the client in."""
        try:
            sent = request.headers
            self.admit(need, sent.get("authorization"), sent.get("host"), sent.get("cookie"))
        except Refusal as refusal:
            headers = tuple(headers_of(refusal).items())
            return Problem(refusal.status, refusal.code, refusal.title, refusal.detail, headers)
        return None

    def forget(self, secret: str) -> None:
        """Stop believing a session that has just ended."""
        self._known.forget(_digest(b"session", secret))

    def _entry(self, need: Need, authorization: str | None, cookies: str | None) -> Entry | None:
        if authorization is not None:
            principal = self._principal(b"token", _token(authorization, need), tokens.recognise, need)
            if principal is None:
                raise Unauthenticated("this token is not known here, or no longer")
            return Entry(principal)
        secret = secret_in(cookies, secure=self._services.secure_cookies)
        if secret is None:
            return None
        principal = self._principal(b"session", secret, sessions.recognise, need)
        return None if principal is None else Entry(principal, secret)

    def _principal(self, kind: bytes, secret: str, recognise: Recognise, need: Need) -> Principal | None:
        digest = _digest(kind, secret)
        principal = self._known.get(digest)
        if principal is not None:
            return principal
        try:
            principal = recognise(self._services.database, secret, self._services.clock())
        except Unavailable:
            principal = self._known.get(digest, BLIND_MS) if need is Need.EVALUATE else None
            if principal is None:
                raise
            return principal
        if principal is not None:
            self._known.put(digest, principal)
        else:
            self._known.forget(digest)
        return principal


class _Memory:
    """A small map that forgets."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[bytes, tuple[Principal, int]] = {}

    def get(self, digest: bytes, within_ms: int = MEMORY_MS) -> Principal | None:
        with self._lock:
            found = self._found.get(digest)
        if found is None or not 0 <= self._clock() - found[1] < within_ms:  # a clock set back must not prolong it
            return None
        return found[0]

    def put(self, digest: bytes, principal: Principal) -> None:
        with self._lock:
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()
            self._found[digest] = (principal, self._clock())

    def forget(self, digest: bytes) -> None:
        with self._lock:
            self._found.pop(digest, None)


def join(app: Flask, services: Services) -> None:
    """Hand the services and a gate to an application's routes."""
    app.extensions[_NAME] = (services, Gate(services))


def gate_of(app: Flask) -> Gate:
    """The gate of an application, for what is served beside it: a token that one has seen, the other knows."""
    return cast("Gate", app.extensions[_NAME][1])


def services() -> Services:
    """What the present application's routes work with; inside a transaction where the request is one as a whole."""
    return cast("Services", g.get("services") or current_app.extensions[_NAME][0])


def principal() -> Principal:
    """Who the present request comes from."""
    return cast("Principal", g.principal)


def order(reason: str = "", version: int | None = None, *, force: bool = False) -> Order:
    """What the present request asks for, by whom and when."""
    who = principal()
    return Order(who.name, services().clock(), reason, version, request_id(), force, who.scope)


def needs(need: Need) -> Callable[[View], View]:
    """Let only those call a view who may do what it asks for."""

    def mark(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            try:
                _enter(need)
            except Unauthenticated:
                if (way := _way_in()) is not None:
                    return way
                raise
            return view(*args, **kwargs)

        guarded.__dict__["need"] = need
        return cast("View", guarded)

    return mark


def gate() -> Gate:
    """The present application's gate."""
    return gate_of(current_app)


def _enter(need: Need) -> None:
    """Find out who asks, and whether a page of this server did where a session answers for them."""
    environ = request.environ
    entry = gate().admit(need, _authorization(), environ.get("HTTP_HOST"), environ.get("HTTP_COOKIE"))
    g.principal, g.session_secret, g.anonymous = entry.principal, entry.session, entry.principal is ANYBODY
    if entry.session is not None and request.method not in SAFE:
        check_csrf(entry.session)


def _way_in() -> Response | None:
    """Where a browser that shows a page goes to sign in; None for programs, which are told what is missing."""
    if "HX-Request" in request.headers:
        return Response(status=401, headers={"HX-Redirect": "/login"})
    browses = request.method in SAFE and "text/html" in request.headers.get("Accept", "")
    if not browses or "Authorization" in request.headers:
        return None
    return Response(status=303, headers={"Location": sign_in_address()})


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


def _digest(kind: bytes, secret: str) -> bytes:
    return sha256(kind + b" " + secret.encode()).digest()


def _host_name(host: str) -> str:
    """The name in a Host header, without its port; an IPv6 address without its brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")
