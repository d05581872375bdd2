"""What admins do with people who sign in."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from controller.domain.errors import Conflict, Invalid
from controller.domain.orders import Order
from controller.domain.people import Person
from controller.domain.principals import Role
from controller.domain.scopes import Scope
from controller.storage import people, record, sessions, tokens
from controller.storage.database import Database
from controller.storage.sessions import Invitation

#: How long a one-time link opens anything.
LINK_MS = 86_400_000
_SERVER = "server"


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is to change of a person; None leaves a field as it is."""

    role: Role | None = None
    scope: Scope | None = None
    enabled: bool | None = None

    def applied_to(self, person: Person) -> Person:
        """The person after it, with the next version; raises Invalid where it does not fit together."""
        return replace(
            person,
            role=person.role if self.role is None else self.role,
            scope=person.scope if self.scope is None else self.scope,
            enabled=person.enabled if self.enabled is None else self.enabled,
            version=person.version + 1,
        )


def create(database: Database, person: Person, order: Order) -> tuple[Person, str]:
    """A new person, and the secret of a link by which they choose a password, once.

    Somebody who signs in by OpenID need not use it.

    Raises:
        AlreadyExists: the name is taken. Invalid: a token has it, so that the audit trail could not tell the two apart.
    """
    person = replace(person, created_ms=order.now_ms)
    with database.write() as connection:
        if tokens.named(connection, person.name):
            raise Invalid("a token has this name; the audit trail could not tell the two apart", field="name")
        people.add(connection, person)
        _note(connection, None, person, "user.created", order)
        return person, _invite(connection, person.name, order.actor, order.now_ms)


def change(database: Database, name: str, wanted: UserChange, order: Order) -> Person:
    """Change what a person may do, or whether they may sign in at all; it counts within seconds.

    Raises:
        NotFound, ChangedMeanwhile; Invalid: it does not fit together. Conflict: nobody could administer any more.
    """
    with database.write() as connection:
        tokens.hold(connection)
        before = people.read_at(connection, name, order.version)
        after = wanted.applied_to(before)
        people.change(connection, before, after)
        if not tokens.admins(connection, order.now_ms) and not people.admins(connection):
            raise Conflict("nobody could administer any more; make another admin first", field="role")
        if not after.enabled:
            sessions.end_all(connection, name)
            sessions.forget_invitations(connection, name)
        _note(connection, before, after, "user.changed" if after.enabled else "user.disabled", order)
    return after


def invite(database: Database, name: str, order: Order) -> str:
    """The secret of a new link by which a person chooses a (new) password, once; earlier links open nothing any more.

    Raises:
        NotFound; Conflict: they are disabled.
    """
    with database.write() as connection:
        person = people.get(connection, name)
        if not person.enabled:
            raise Conflict(f"{name} is disabled; enable them first", field="name")
        _note(connection, None, person, "user.invited", order)
        return _invite(connection, name, order.actor, order.now_ms)


def end_sessions(database: Database, name: str, order: Order) -> int:
    """Sign a person out everywhere; how many sessions there were.

    Raises:
        NotFound.
    """
    with database.write() as connection:
        person = people.get(connection, name)
        ended = sessions.end_all(connection, name)
        _note(connection, person, person, "user.signed_out", order)
    return ended


def first_admin_link(database: Database, now_ms: int) -> str | None:
    """The secret of a link by which the first admin chooses a name and a password; None where an admin can sign in."""
    with database.write() as connection:
        tokens.hold(connection)
        if people.admins(connection):
            return None
        return _invite(connection, "", _SERVER, now_ms)


def _invite(connection: Connection, name: str, actor: str, now_ms: int) -> str:
    secret = secrets.token_urlsafe(32)
    sessions.invite(connection, tokens.digest_of(secret), Invitation(name, actor, now_ms, now_ms + LINK_MS))
    return secret


def _note(connection: Connection, before: Person | None, after: Person, action: str, order: Order) -> None:
    record.note(
        connection,
        actor=order.actor,
        action=action,
        subject=f"user/{after.name}",
        reason=order.reason,
        at_ms=order.now_ms,
        before=None if before is None else people.plain(before),
        after=people.plain(after),
        request_id=order.request_id,
    )
