"""People who sign in, as rows; of passwords only what argon2 makes of them is kept."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from controller.domain.errors import AlreadyExists, ChangedMeanwhile, NotFound
from controller.domain.people import Person
from controller.domain.principals import Role
from controller.storage import scopes
from controller.storage.tables import people


def find(connection: Connection, name: str) -> Person | None:
    """The person with this name."""
    row = connection.execute(select(people).where(people.c.name == name)).one_or_none()
    return None if row is None else _person(row)


def get(connection: Connection, name: str) -> Person:
    """The person with this name.

    Raises:
        NotFound: there is none.
    """
    found = find(connection, name)
    if found is None:
        raise NotFound(f"there is no user {name!r}; `canary user list` shows them", field="name")
    return found


def read_at(connection: Connection, name: str, version: int | None) -> Person:
    """One person, at the version that a command was given for (None: whatever it is now).

    Raises:
        NotFound, ChangedMeanwhile.
    """
    person = get(connection, name)
    if version is not None and version != person.version:
        raise ChangedMeanwhile(f"user {name!r} is at version {person.version}, not {version}", field="version")
    return person


def by_subject(connection: Connection, subject: str) -> Person | None:
    """The person with this account at the OpenID provider."""
    row = connection.execute(select(people).where(people.c.subject == subject)).one_or_none()
    return None if row is None else _person(row)


def every(connection: Connection) -> list[Person]:
    """All people, by name."""
    return [_person(row) for row in connection.execute(select(people).order_by(people.c.name))]


def admins(connection: Connection) -> int:
    """How many admins can sign in."""
    statement = select(func.count()).select_from(people)
    here = people.c.enabled.is_(True) & (people.c.role == Role.ADMIN.value)
    way_in = people.c.password.is_not(None) | people.c.subject.is_not(None)
    return connection.execute(statement.where(here, way_in)).scalar_one()


def add(connection: Connection, person: Person) -> None:
    """A new person, without a password.

    Raises:
        AlreadyExists: the name is taken.
    """
    try:
        connection.execute(insert(people).values(**_values(person), created_ms=person.created_ms))
    except IntegrityError:
        raise AlreadyExists(f"a user {person.name!r} exists already", field="name") from None


def change(connection: Connection, before: Person, after: Person) -> None:
    """Replace a person, on condition that they are still as they were read.

    Raises:
        ChangedMeanwhile: they are not.
    """
    statement = update(people).where(people.c.name == before.name, people.c.version == before.version)
    if connection.execute(statement.values(**_values(after))).rowcount != 1:
        raise ChangedMeanwhile(f"user {before.name!r} is no longer at version {before.version}", field="version")


def password(connection: Connection, name: str) -> str | None:
    """What is kept of a person's password."""
    return connection.execute(select(people.c.password).where(people.c.name == name)).scalar_one_or_none()


def keep_password(connection: Connection, name: str, hashed: str) -> None:
    """Replace what is kept of a password."""
    connection.execute(update(people).where(people.c.name == name).values(password=hashed))


def seen(connection: Connection, name: str, now_ms: int) -> None:
    """Remember that a person was here."""
    connection.execute(update(people).where(people.c.name == name).values(seen_ms=now_ms))


def plain(person: Person) -> dict[str, Any]:
    """The person as an audit entry shows them."""
    flags = None if person.scope.flags is None else list(person.scope.flags)
    return {
        "name": person.name,
        "role": person.role.value,
        "flags": flags,
        "enabled": person.enabled,
        "password": person.has_password,
        "subject": person.subject,
    }


def _values(person: Person) -> dict[str, Any]:
    return {
        "name": person.name,
        "role": person.role.value,
        "flags": scopes.stored(person.scope),
        "enabled": person.enabled,
        "subject": person.subject or None,
        "version": person.version,
    }


def _person(row: Row[Any]) -> Person:
    return Person(
        name=row.name,
        role=Role(row.role),
        scope=scopes.read(row.flags),
        enabled=row.enabled,
        has_password=row.password is not None,
        subject=row.subject or "",
        version=row.version,
        created_ms=row.created_ms,
        seen_ms=row.seen_ms,
    )
