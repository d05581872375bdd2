"""The browser's side of a session: its cookie, the token that forms carry, and where a request comes from."""

from __future__ import annotations

import hmac
from hashlib import sha256
from urllib.parse import quote, urlsplit

from flask import Flask, Response, g, request
from markupsafe import Markup
from werkzeug.http import parse_cookie

from controller.domain.errors import BadCsrfToken
from controller.domain.principals import Principal
from controller.usecases.sessions import NewSession

#: The field of a form, and the header of a script, that carry the token.
FIELD, HEADER = "csrf_token", "X-CSRF-Token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

#: A cookie of this kind of name is taken from this very host and over TLS alone, whatever other hosts set.
_SECURE, _PLAIN = "__Host-canary", "canary_session"
_MOST_CHARACTERS = 100
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def install(app: Flask) -> None:
    """Give templates `csrf_token()`, `csrf_field()` and `principal()`."""
    app.jinja_env.globals.update(csrf_token=csrf_token, csrf_field=csrf_field, principal=_principal)


def secret_in(cookies: str | None, *, secure: bool) -> str | None:
    """The session's secret in a Cookie header."""
    if not cookies:
        return None
    found = parse_cookie(cookies).get(_SECURE if secure else _PLAIN)
    return found if found and len(found) <= _MOST_CHARACTERS else None


def remember(response: Response, session: NewSession, now_ms: int, *, secure: bool) -> Response:
    """The response that signs a browser in. Lax: a link in a chat opens the page that it leads to, signed in."""
    response.set_cookie(
        _SECURE if secure else _PLAIN,
        session.secret,
        max_age=(session.expires_ms - now_ms) // 1000,
        secure=secure,
        httponly=True,
        samesite="Lax",
        path="/",
    )
    return response


def forget(response: Response, *, secure: bool) -> Response:
    """The response that signs a browser out."""
    response.delete_cookie(_SECURE if secure else _PLAIN, secure=secure, httponly=True, samesite="Lax", path="/")
    return response


def csrf_token() -> str:
    """The token of the present session; empty where nobody is signed in by one."""
    secret = g.get("session_secret")
    return "" if secret is None else _token(secret)


def csrf_field() -> Markup:
    """The hidden input that every form of a page carries."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, csrf_token())


def check_csrf(secret: str) -> None:
    """Make sure that an unsafe request of a session comes from a page of this server.

    Raises:
        BadCsrfToken: it does not, or the page belongs to another session.
    """
    check_origin()
    given = request.headers.get(HEADER)
    if given is None and request.mimetype in _FORMS:
        given = request.form.get(FIELD)
    if not hmac.compare_digest((given or "").encode(), _token(secret).encode()):
        raise BadCsrfToken(f"load the page again; a script sends its token in {HEADER}, a form in {FIELD}")


def check_origin() -> None:
    """Refuse what a page of another host sends: browsers say where a form comes from.

    Raises:
        BadCsrfToken: it comes from elsewhere.
    """
    said = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    elsewhere = said not in (None, "same-origin", "none")
    if said is None and origin is not None:
        elsewhere = urlsplit(origin).netloc != request.host
    if elsewhere:
        raise BadCsrfToken("this comes from a page of another host")


def sign_in_address() -> str:
    """Where whoever is not signed in goes, and comes back from to the page they asked for."""
    wanted = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return "/login" if wanted == "/" else f"/login?next={quote(wanted, safe='/')}"


def safe_next(wanted: str) -> str:
    """A page of this server to go to; anything else is the first page."""
    parts = urlsplit(wanted)
    here = wanted.startswith("/") and not wanted.startswith("//") and not parts.netloc and not parts.scheme
    return wanted if here and "\\" not in wanted and wanted.isprintable() and len(wanted) <= 2_000 else "/"


def _principal() -> Principal | None:
    """Who is signed in; nobody where reading is open to all."""
    found: Principal | None = g.get("principal")
    return None if found is None or g.get("anonymous", False) else found


def _token(secret: str) -> str:
    return hmac.new(secret.encode(), b"canary csrf token", sha256).hexdigest()
