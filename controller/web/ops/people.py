"""Who may come in: people with their roles, scopes and sessions, and tokens of programs. For admins."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response, make_response

from controller.domain.durations import duration_ms
from controller.domain.errors import NotFound, Refusal
from controller.domain.orders import Order
from controller.domain.people import ROLES, Person
from controller.domain.principals import Need, Role
from controller.domain.scopes import scope_of
from controller.storage.database import Database
from controller.usecases import tokens, users
from controller.usecases.users import UserChange
from controller.usecases.views.tokens import token_page
from controller.usecases.views.users import user_page, user_view
from controller.web.access import needs, services
from controller.web.api.users import link_of
from controller.web.ops.forms import Form
from controller.web.ops.site import blueprint, confirm, done, page
from controller.wire.codec import convert

_MOST = 1_000
_OVERLAP = "24h"
#: Question, consequence and button of each act.
_QUESTIONS = {
    "invite": (
        "Make a new link?",
        "They choose a (new) password by it, once. Earlier links open nothing any more.",
        "Make the link",
    ),
    "sign-out": ("Sign them out everywhere?", "Every browser has to sign in again.", "Sign out"),
    "disable": (
        "Disable this person?",
        "They are signed out everywhere and cannot sign in; their name stays in the audit trail.",
        "Disable",
    ),
    "enable": ("Enable this person?", "They may sign in again.", "Enable"),
    "revoke": ("Revoke this token?", "Programs that use it are refused within seconds.", "Revoke"),
    "rotate": ("Rotate this token?", f"A new token takes its place; this one works for {_OVERLAP} more.", "Rotate"),
}
#: These answer with a page that shows a secret, so their forms are sent as forms.
_SECRET = ("invite", "rotate")


@blueprint.get("/access")
@needs(Need.ADMINISTER)
def show_access() -> str:
    """People and tokens."""
    return _access()


@blueprint.post("/access/people")
@needs(Need.ADMINISTER)
def add_person() -> Response:
    """Somebody new; the page shows the link by which they choose a password, once."""
    form = Form()
    try:
        name, role = (
            form.needed("name", "give a name, such as ann@example.com").lower(),
            convert(form.line("role"), Role),
        )
        _, secret = users.create(services().database, Person(name, role, scope_of(_flags(form))), form.order())
    except Refusal as refusal:
        return make_response(_access(form, refusal, "person"), refusal.status)
    return _shown_once("link", name, link_of(secret))


@blueprint.post("/access/tokens")
@needs(Need.ADMINISTER)
def add_token() -> Response:
    """A new token; the page shows it once."""
    form, here = Form(), services()
    try:
        order, lasts = form.order(), form.line("lasts")
        new = tokens.create(
            here.database,
            form.line("role"),
            form.line("name"),
            actor=order.actor,
            now_ms=order.now_ms,
            scope=scope_of(_flags(form)),
            lasts_ms=duration_ms(lasts, "lasts") if lasts else None,
            request_id=order.request_id,
        )
    except Refusal as refusal:
        return make_response(_access(form, refusal, "token"), refusal.status)
    return _shown_once("token", new.stored.name, new.secret)


@blueprint.get("/access/people/<person:name>/<verb>")
@needs(Need.ADMINISTER)
def ask_about_person(name: str, verb: str) -> Response:
    """The confirmation of an act on a person."""
    return _ask(f"/access/people/{name}/{verb}", name, verb)


@blueprint.post("/access/people/<person:name>/<verb>")
@needs(Need.ADMINISTER)
def act_on_person(name: str, verb: str) -> Response:
    """Invite, sign out, disable or enable somebody."""
    form, here = Form(), services()
    try:
        if verb not in _PEOPLE:
            raise NotFound(f"people have no act {verb[:40]!r}", field="act")
        secret = _PEOPLE[verb](here.database, name, form.order())
    except Refusal as refusal:
        return _ask(f"/access/people/{name}/{verb}", name, verb, refusal, form)
    return _shown_once("link", name, link_of(secret)) if secret else done("/access")


@blueprint.post("/access/people/<person:name>")
@needs(Need.ADMINISTER)
def change_person(name: str) -> Response:
    """What somebody may do, at the version that the page showed."""
    form = Form()
    try:
        wanted = UserChange(convert(form.line("role"), Role), scope_of(_flags(form)))
        users.change(services().database, name, wanted, form.order())
    except Refusal as refusal:
        return make_response(_access(form, refusal, name), refusal.status)
    return done("/access")


@blueprint.get("/access/tokens/<key:prefix>/<any(revoke, rotate):verb>")
@needs(Need.ADMINISTER)
def ask_about_token(prefix: str, verb: str) -> Response:
    """The confirmation of an act on a token."""
    return _ask(f"/access/tokens/{prefix}/{verb}", prefix, verb)


@blueprint.post("/access/tokens/<key:prefix>/<any(revoke, rotate):verb>")
@needs(Need.ADMINISTER)
def act_on_token(prefix: str, verb: str) -> Response:
    """Revoke a token, or put another in its place."""
    form, here = Form(), services()
    try:
        order = form.order()
        who, at_ms, request_id = order.actor, order.now_ms, order.request_id
        if verb == "revoke":
            tokens.revoke(here.database, prefix, actor=who, now_ms=at_ms, request_id=request_id)
            return done("/access")
        overlap_ms = duration_ms(_OVERLAP, "overlap")
        new = tokens.rotate(here.database, prefix, overlap_ms, actor=who, now_ms=at_ms, request_id=request_id)
    except Refusal as refusal:
        return _ask(f"/access/tokens/{prefix}/{verb}", prefix, verb, refusal, form)
    return _shown_once("token", new.stored.name, new.secret)


def _invite(database: Database, name: str, order: Order) -> str:
    return users.invite(database, name, order)


def _sign_out(database: Database, name: str, order: Order) -> str:
    users.end_sessions(database, name, order)
    return ""


def _enable(database: Database, name: str, order: Order) -> str:
    users.change(database, name, UserChange(enabled=True), order)
    return ""


def _disable(database: Database, name: str, order: Order) -> str:
    users.change(database, name, UserChange(enabled=False), order)
    return ""


_PEOPLE: dict[str, Callable[[Database, str, Order], str]] = {
    "invite": _invite,
    "sign-out": _sign_out,
    "enable": _enable,
    "disable": _disable,
}


def _access(form: Form | None = None, refusal: Refusal | None = None, refused: str = "") -> str:
    here = services()
    with here.database.read() as connection:
        people = user_page(connection, 0, _MOST).items
        known = token_page(connection, 0, _MOST).items
    given = {
        name: form.line(name, most=10_000)[:500] if form else ""
        for name in ("name", "role", "flags", "lasts", "reason")
    }
    return page(
        "access.html",
        people=people,
        tokens=known,
        roles=[role.value for role in ROLES],
        kinds=[role.value for role in Role],
        given=given,
        refusal=refusal,
        refused=refused,
    )


def _ask(address: str, subject: str, verb: str, refusal: Refusal | None = None, form: Form | None = None) -> Response:
    if verb not in _QUESTIONS:
        raise NotFound(f"there is no act {verb[:40]!r}", field="act")
    question, consequence, label = _QUESTIONS[verb]
    version = None
    if verb in ("enable", "disable"):
        with services().database.read() as connection:
            version = user_view(connection, subject).version
    return confirm(
        address,
        question=question,
        subject=subject,
        consequence=consequence,
        label=label,
        version=version,
        back="/access",
        plain=verb in _SECRET,
        refusal=refusal,
        reason=form.line("reason", most=10_000) if form else "",
    )


def _shown_once(what: str, name: str, secret: str) -> Response:
    """A page rather than a redirect: the secret is in no address, and nowhere once the page is closed."""
    return make_response(page("secret.html", what=what, name=name, secret=secret, back="/access"))


def _flags(form: Form) -> list[str]:
    return [key for key in form.line("flags").replace(",", " ").split() if key]
