"""/api/v1/users: people who sign in; for admins. And /api/v1/me: whoever asks."""

from __future__ import annotations

from flask import Blueprint, request

from controller.domain.people import Person
from controller.domain.principals import Need, Role
from controller.domain.scopes import scope_of
from controller.usecases import users
from controller.usecases.users import UserChange
from controller.usecases.views.users import user_page, user_view
from controller.web.access import needs, order, principal, services
from controller.web.operation import operation
from controller.wire.api.common import Page, PageQuery
from controller.wire.api.people import ReasonBody, UserBody, UserPatch, UserView, WhoView

blueprint = Blueprint("users", __name__)


@blueprint.get("/api/v1/me")
@needs(Need.READ)
@operation()
def who_am_i() -> WhoView:
    """Whoever asks: role, scope and rights."""
    who = principal()
    rights = sorted(need.value for need in Need if who.may(need))
    return WhoView(who.name, who.role.value, list(who.scope.flags or ()), rights)


@blueprint.get("/api/v1/users")
@needs(Need.ADMINISTER)
@operation()
def list_users(query: PageQuery) -> Page[UserView]:
    """People, by name, with the browsers in which they are signed in."""
    with services().database.read() as connection:
        return user_page(connection, query.after, query.limit)


@blueprint.post("/api/v1/users")
@needs(Need.ADMINISTER)
@operation(201, secret=True)
def create_user(body: UserBody) -> UserView:
    """A new user; `link` in the answer is where they choose a password, once."""
    person, secret = users.create(
        services().database,
        Person(body.name.strip().lower(), Role(body.role), scope_of(body.flags)),
        order(body.reason),
    )
    return _user(person.name, link_of(secret))


@blueprint.get("/api/v1/users/<person:name>")
@needs(Need.ADMINISTER)
@operation()
def get_user(name: str) -> UserView:
    """One user."""
    return _user(name)


@blueprint.patch("/api/v1/users/<person:name>")
@needs(Need.ADMINISTER)
@operation()
def change_user(name: str, body: UserPatch) -> UserView:
    """Change what a user may do; `enabled: false` signs them out everywhere and keeps them out."""
    scope = None if body.flags is None else scope_of(body.flags)
    wanted = UserChange(None if body.role is None else Role(body.role), scope, body.enabled)
    users.change(services().database, name, wanted, order(body.reason, body.version))
    return _user(name)


@blueprint.post("/api/v1/users/<person:name>/invite")
@needs(Need.ADMINISTER)
@operation(secret=True)
def invite_user(name: str, body: ReasonBody) -> UserView:
    """A new link by which a user chooses a (new) password, once; earlier ones open nothing any more."""
    return _user(name, link_of(users.invite(services().database, name, order(body.reason))))


@blueprint.post("/api/v1/users/<person:name>/sign-out")
@needs(Need.ADMINISTER)
@operation()
def sign_user_out(name: str, body: ReasonBody) -> UserView:
    """Sign a user out everywhere."""
    users.end_sessions(services().database, name, order(body.reason))
    return _user(name)


def link_of(secret: str) -> str:
    """Where whoever has a one-time link opens it."""
    return f"{services().address or request.host_url.rstrip('/')}/setup/{secret}"


def _user(name: str, link: str | None = None) -> UserView:
    with services().database.read() as connection:
        return user_view(connection, name, link)
