"""People who sign in as they are shown."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.domain.people import Person
from controller.storage import people, sessions
from controller.usecases.views.paging import slice_page
from controller.wire.api.common import Page
from controller.wire.api.people import SessionView, UserView


def user_view(connection: Connection, name: str, link: str | None = None) -> UserView:
    """One person; `link` is where they choose a password, shown once.

    Raises:
        NotFound: there is none of this name.
    """
    return _view(connection, people.get(connection, name), link)


def user_page(connection: Connection, after: int = 0, limit: int = 100) -> Page[UserView]:
    """People by name."""
    return slice_page(people.every(connection), after, limit, lambda person: _view(connection, person, None))


def _view(connection: Connection, person: Person, link: str | None) -> UserView:
    ways = (("password", person.has_password), ("oidc", bool(person.subject)))
    return UserView(
        name=person.name,
        role=person.role.value,
        flags=list(person.scope.flags or ()),
        enabled=person.enabled,
        signs_in_by=[way for way, there in ways if there],
        version=person.version,
        created_ms=person.created_ms,
        seen_ms=person.seen_ms,
        sessions=[
            SessionView(one.via, one.created_ms, one.seen_ms, one.expires_ms)
            for one in sessions.of(connection, person.name)
        ],
        link=link,
    )
