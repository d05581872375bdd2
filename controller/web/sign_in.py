"""The pages that let people in: signing in and out, and the one-time link by which they choose a password."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, make_response, redirect, render_template, request

from controller.domain.errors import Conflict, Invalid, NotFound, Refusal
from controller.domain.principals import Need
from controller.storage import snapshots
from controller.usecases import sessions
from controller.usecases.sessions import NewSession
from controller.web.access import gate, needs, open_to_all, services
from controller.web.http import refuse
from controller.web.oidc import CALLBACK, Provider
from controller.web.services import Services
from controller.web.sessions import check_origin, forget, remember, safe_next

blueprint = Blueprint("sign_in", __name__, template_folder="templates")

_PROVIDER = "controller.oidc"
#: A form holds a name and passwords.
_MOST_BYTES = 16_384


def install(app: Flask, services: Services) -> None:
    """Make an application's OpenID provider known, where it has one."""
    if services.oidc is None:
        return
    with services.database.read() as connection:
        key = snapshots.hash_key(connection)
    app.extensions[_PROVIDER] = Provider(app, services.oidc, services.address, key, secure=services.secure_cookies)


@blueprint.get("/login")
@open_to_all
def show_sign_in() -> Response:
    """The form."""
    return _form(request.args.get("next", "/"))


@blueprint.post("/login")
@open_to_all
def sign_in() -> Response:
    """Sign in with a password."""
    check_origin()
    given, here = _given(), services()
    following = safe_next(given.get("next", "/"))
    try:
        session = sessions.sign_in(
            here.database, given.get("name", ""), given.get("password", ""), request.remote_addr or "", here.clock()
        )
    except Refusal as refusal:
        return _form(following, refusal, given.get("name", ""))
    return _signed_in(session, following)


@blueprint.get("/login/oidc")
@open_to_all
def leave_for_provider() -> Response:
    """Off to the OpenID provider."""
    following = safe_next(request.args.get("next", "/"))
    try:
        return _provider().leave(following)
    except Refusal as refusal:
        return _form(following, refusal)


@blueprint.get(CALLBACK)
@open_to_all
def come_back_from_provider() -> Response:
    """Back from the OpenID provider."""
    here = services()
    try:
        account, following = _provider().come_back()
        session = sessions.sign_in_by_account(here.database, account, here.clock())
    except Refusal as refusal:
        return _form("/", refusal)
    return _signed_in(session, safe_next(following))


@blueprint.post("/logout")
@needs(Need.READ)
def sign_out() -> Response:
    """End the session of this browser."""
    here, secret = services(), g.session_secret
    if secret is not None:
        sessions.sign_out(here.database, secret)
        gate().forget(secret)
    return forget(redirect("/login", 303), secure=here.secure_cookies)  # type: ignore[arg-type] # Flask's own kind


@blueprint.get("/setup/<secret>")
@open_to_all
def show_setup(secret: str) -> Response:
    """The form by which whoever has the link chooses a password."""
    return _setup(secret)


@blueprint.post("/setup/<secret>")
@open_to_all
def set_up(secret: str) -> Response:
    """Choose a password, and be signed in."""
    check_origin()
    given, here = _given(), services()
    name, password = given.get("name", ""), given.get("password", "")
    if password != given.get("again", ""):
        return _setup(secret, Invalid("the two passwords differ", field="again"), name)
    try:
        session = sessions.accept(here.database, secret, name, password, here.clock())
    except (Invalid, Conflict) as refusal:
        return _setup(secret, refusal, name)
    return _signed_in(session, "/")


@blueprint.errorhandler(Refusal)
def show_refusal(refusal: Refusal) -> Response:
    """A refusal as a page, with the status and headers that programs get."""
    return _page("sign_in/refused.html", refusal, refusal=refusal)


def _form(following: str, refusal: Refusal | None = None, name: str = "") -> Response:
    values = {
        "following": safe_next(following),
        "oidc": _PROVIDER in current_app.extensions,
        "refusal": refusal,
        "name": name[:100],
        "insecure": services().secure_cookies and not _is_secure(),
    }
    return _page("sign_in/sign_in.html", refusal, **values)


def _setup(secret: str, refusal: Refusal | None = None, name: str = "") -> Response:
    here = services()
    found = sessions.invitation(here.database, secret, here.clock())
    return _page("sign_in/setup.html", refusal, person=found.person, secret=secret, refusal=refusal, name=name[:100])


def _page(template: str, refused: Refusal | None, **values: Any) -> Response:
    here = services()
    with here.database.read() as connection:
        environment = snapshots.environment(connection)
    page = make_response(render_template(template, environment=environment, **values))
    if refused is not None:
        told = refuse(refused)
        page.status_code = told.status_code
        for name in ("Retry-After", "WWW-Authenticate"):
            if name in told.headers:
                page.headers[name] = told.headers[name]
    return page


def _signed_in(session: NewSession, following: str) -> Response:
    here = services()
    response = Response(status=303, headers={"Location": following})
    return remember(response, session, here.clock(), secure=here.secure_cookies)


def _given() -> dict[str, str]:
    request.max_content_length = _MOST_BYTES
    return {name: value for name, value in request.form.items() if "\0" not in value}


def _provider() -> Provider:
    found: Provider | None = current_app.extensions.get(_PROVIDER)
    if found is None:
        raise NotFound("no OpenID provider is set up here; see CANARY_OIDC_ISSUER")
    return found


def _is_secure() -> bool:
    """Whether the browser speaks TLS, to us or to the proxy before us; told to people alone, nothing rests on it."""
    return request.is_secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"
