"""Signing in and out: by password, by a one-time link, or by an OpenID provider."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, replace
from hashlib import sha256

from sqlalchemy import Connection

from controller import passwords
from controller.domain.errors import Forbidden, Invalid, LinkExpired, SignInRefused, TooManyAttempts, Unavailable
from controller.domain.people import Person, check_password
from controller.domain.principals import Principal, Role
from controller.storage import people, record, sessions, tokens
from controller.storage.database import Database
from controller.storage.sessions import Invitation, Session

#: A session ends when nothing was asked for so long, and at any rate after so long.
IDLE_MS, LIFE_MS = 12 * 3_600_000, 7 * 86_400_000
#: Sessions of one person at a time; the oldest end.
_MOST_SESSIONS = 20
#: Attempts within a time: by one address at one name, by one address, at one name. Whoever guesses from elsewhere
#: does not lock the owner of a name out at once.
_WITHIN_MS = 900_000
_MOST_PAIR, _MOST_ADDRESS, _MOST_NAME = 5, 30, 100
#: The last use of a session is remembered to this.
_SEEN_EVERY_MS = 60_000
_WRONG = "the name or the password is wrong, or this user may not sign in with a password"


@dataclass(frozen=True, slots=True)
class NewSession:
    """Somebody has just signed in; `secret` goes into the browser's cookie and is kept nowhere."""

    person: Person
    secret: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody's account at the OpenID provider.

    Attributes:
        subject: issuer and subject, which never change.
        name: how people know them, in lower case; `verified` where the provider vouches for it (a verified address).
        role: what the provider's groups make them; None: as it is here, a viewer at first.
    """

    subject: str
    name: str
    verified: bool
    role: Role | None = None


def sign_in(database: Database, name: str, password: str, address: str, now_ms: int) -> NewSession:
    """Sign in with a password.

    Raises:
        TooManyAttempts: wait. SignInRefused: the name or the password is wrong; it does not say which.
    """
    name = name.strip().lower()
    subjects = _subjects(name, address)
    with database.write() as connection:  # committed whatever follows, so that nobody guesses in parallel
        counted = [sessions.count_attempt(connection, one, now_ms, now_ms - _WITHIN_MS) for one, _ in subjects]
    if any(count > most for count, (_, most) in zip(counted, subjects, strict=True)):
        raise TooManyAttempts("too many attempts to sign in; wait a quarter of an hour, or ask an admin for a link")
    with database.read() as connection:
        person, kept = people.find(connection, name), people.password(connection, name)
    right = passwords.fits(kept, password)
    if not right or person is None or not person.enabled or kept is None:
        raise SignInRefused(_WRONG)
    renewed = passwords.hashed(password) if passwords.outdated(kept) else None
    with database.write() as connection:
        if renewed is not None:
            people.keep_password(connection, name, renewed)
        sessions.forget_failures(connection, subjects[0][0])
        return _begin(connection, person, "password", now_ms)


def invitation(database: Database, secret: str, now_ms: int) -> Invitation:
    """What a one-time link is for.

    Raises:
        LinkExpired: it opens nothing, or no longer.
    """
    with database.read() as connection:
        return _invitation(connection, secret, now_ms)


def accept(database: Database, secret: str, name: str, password: str, now_ms: int) -> NewSession:
    """Use a one-time link: choose a password (the first admin also a name) and be signed in.

    Raises:
        LinkExpired: the link opens nothing, or somebody was faster. Invalid: name or password will not do.
    """
    with database.read() as connection:
        found = _invitation(connection, secret, now_ms)
    person = Person(name.strip().lower(), Role.ADMIN, created_ms=now_ms) if not found.person else None
    check_password(password, found.person or (person.name if person else ""))
    kept = passwords.hashed(password)
    with database.write() as connection:
        tokens.hold(connection)
        if not sessions.use_invitation(connection, tokens.digest_of(secret)):
            raise LinkExpired("somebody has used it in this moment")
        person = _first_admin(connection, person, now_ms) if person else people.get(connection, found.person)
        if not person.enabled:
            raise LinkExpired("this user is disabled")
        people.keep_password(connection, person.name, kept)
        sessions.end_all(connection, person.name)
        _note(connection, person, "user.password_set", now_ms)
        return _begin(connection, person, "password", now_ms)


def sign_in_by_account(database: Database, account: Account, now_ms: int) -> NewSession:
    """Sign in somebody for whom the OpenID provider vouches; who is new here becomes a viewer, or what the groups say.

    Raises:
        Forbidden: they are disabled here, or the name belongs to somebody who signs in otherwise.
    """
    with database.write() as connection:
        person = people.by_subject(connection, account.subject)
        if person is None:
            person = _linked(connection, account, now_ms)
        if not person.enabled:
            raise Forbidden(f"{person.name} may not sign in here any more")
        if account.role is not None and account.role is not person.role:
            person = _given_role(connection, person, account.role, now_ms)
        return _begin(connection, person, "oidc", now_ms)


def sign_out(database: Database, secret: str) -> None:
    """End a session."""
    with database.write() as connection:
        sessions.end(connection, tokens.digest_of(secret))


def recognise(database: Database, secret: str, now_ms: int) -> Principal | None:
    """Who is signed in with this session, remembering that it is in use; None where it is over or never was."""
    digest = tokens.digest_of(secret)
    with database.read() as connection:
        session = sessions.find(connection, digest)
        person = people.find(connection, session.person) if session is not None else None
    if session is None or person is None or not person.enabled:
        return None
    if session.expires_ms <= now_ms or now_ms - session.seen_ms >= IDLE_MS:
        return None
    if now_ms - session.seen_ms >= _SEEN_EVERY_MS:
        with contextlib.suppress(Unavailable), database.write() as connection:
            sessions.touch(connection, digest, now_ms)
            people.seen(connection, person.name, now_ms)
    return person.principal


def _invitation(connection: Connection, secret: str, now_ms: int) -> Invitation:
    found = sessions.invitation(connection, tokens.digest_of(secret))
    if found is None or found.expires_ms <= now_ms:
        raise LinkExpired("it was used, has run out or never was; `canary user invite NAME` makes another")
    return found


def _first_admin(connection: Connection, person: Person, now_ms: int) -> Person:
    if people.admins(connection):
        raise LinkExpired("somebody has become the first admin in the meantime; ask them for a link")
    if tokens.named(connection, person.name):
        raise Invalid("a token has this name; choose another", field="name")
    people.add(connection, person)
    _note(connection, person, "user.created", now_ms)
    return person


def _linked(connection: Connection, account: Account, now_ms: int) -> Person:
    """The person that an account belongs to: somebody whom an admin has named beforehand, or somebody new."""
    known = people.find(connection, account.name)
    if known is None:
        if tokens.named(connection, account.name):
            raise Forbidden(f"a token is named {account.name!r} here; an admin has to rename it")
        made = Person(account.name, account.role or Role.VIEWER, subject=account.subject, created_ms=now_ms)
        people.add(connection, made)
        _note(connection, made, "user.created", now_ms)
        return made
    if known.has_password or known.subject or not account.verified:
        raise Forbidden(f"{account.name!r} is somebody here who signs in otherwise; an admin has to sort that out")
    linked = replace(known, subject=account.subject, version=known.version + 1)
    people.change(connection, known, linked)
    sessions.forget_invitations(connection, linked.name)
    _note(connection, linked, "user.linked", now_ms)
    return linked


def _given_role(connection: Connection, person: Person, role: Role, now_ms: int) -> Person:
    scope = person.scope if role is Role.OPERATOR else Person(person.name, role).scope
    after = replace(person, role=role, scope=scope, version=person.version + 1)
    people.change(connection, person, after)
    _note(connection, after, "user.changed", now_ms, person)
    return after


def _begin(connection: Connection, person: Person, via: str, now_ms: int) -> NewSession:
    secret = secrets.token_urlsafe(32)
    session = Session(person.name, via, now_ms, now_ms, now_ms + LIFE_MS)
    sessions.add(connection, tokens.digest_of(secret), session, _MOST_SESSIONS)
    people.seen(connection, person.name, now_ms)
    _note(connection, person, "user.signed_in", now_ms)
    return NewSession(person, secret, session.expires_ms)


def _note(connection: Connection, person: Person, action: str, now_ms: int, before: Person | None = None) -> None:
    record.note(
        connection,
        actor=person.name,
        action=action,
        subject=f"user/{person.name}",
        reason="",
        at_ms=now_ms,
        before=None if before is None else people.plain(before),
        after=people.plain(person),
    )


def _subjects(name: str, address: str) -> list[tuple[str, int]]:
    """What attempts have in common, and how many there may be; hashed, since passwords get into the wrong field."""
    texts = ((f"{address} {name}", _MOST_PAIR), (f"{address} ", _MOST_ADDRESS), (f" {name}", _MOST_NAME))
    return [(sha256(text.encode()).hexdigest(), most) for text, most in texts]
