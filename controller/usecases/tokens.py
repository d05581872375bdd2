"""Bearer tokens: made, rotated, listed and revoked by admins, and the first admin's own."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from controller.domain.durations import duration_text
from controller.domain.errors import Conflict, Invalid, NotFound, Unavailable
from controller.domain.people import check_role
from controller.domain.principals import Principal, Role
from controller.domain.scopes import EVERYWHERE, Scope
from controller.storage import people, tokens
from controller.storage.database import Database
from controller.storage.tokens import StoredToken

#: Characters of a token that are kept in the clear: its kind, its role and a little of the secret.
_SHOWN = 15
_SECRET_BYTES = 32
#: The row of the token that the operator configured; a new value takes the place of the old one.
_CONFIGURED = "configured"
_LEAST_CONFIGURED = 16
_MOST_CONFIGURED = 200
_SERVER = "server"
_DAY_MS = 86_400_000
_LEAST_LIFE_MS, _MOST_LIFE_MS = 60_000, 1_100 * _DAY_MS
_MOST_OVERLAP_MS = 30 * _DAY_MS
#: The last use of a token is remembered to this.
_USED_EVERY_MS = 60_000


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made; `secret` is shown once and kept nowhere."""

    stored: StoredToken
    secret: str


def create(  # noqa: PLR0913 - a token is all of this
    database: Database,
    role: str,
    name: str,
    *,
    actor: str,
    now_ms: int,
    scope: Scope = EVERYWHERE,
    lasts_ms: int | None = None,
    request_id: str = "",
) -> NewToken:
    """Make a token; `lasts_ms` is how long it opens anything (None: until it is revoked).

    Raises:
        Invalid: no such role, a name of more than 100 characters or of a person, a scope for a role that has none, or a
        life that is too short or too long.
    """
    kind = _role(role)
    check_role(kind, scope)
    new = _new(kind, _checked_name(name) or role, now_ms)
    new = replace(new, stored=replace(new.stored, scope=scope, expires_ms=_end(now_ms, lasts_ms), created_by=actor))
    with database.write() as connection:
        if people.find(connection, new.stored.name.lower()) is not None:
            raise Invalid("this is a person's name; the audit trail could not tell the two apart", field="name")
        tokens.add(connection, new.stored, tokens.digest_of(new.secret))
        tokens.note(connection, new.stored, "token.created", actor, now_ms, request_id)
    return new


def rotate(
    database: Database, prefix: str, overlap_ms: int, *, actor: str, now_ms: int, request_id: str = ""
) -> NewToken:
    """Make a token that takes the place of another, which ends after the overlap; so both work until all have changed.

    The new one has the other's role, name, scope and, where it has an end, length of life.

    Raises:
        NotFound: no token has this prefix. Invalid: the overlap is too long. Conflict: it has expired, or comes from
        the configuration.
    """
    if not 0 <= overlap_ms <= _MOST_OVERLAP_MS:
        raise Invalid(f"an overlap is 0s to {duration_text(_MOST_OVERLAP_MS)}", field="overlap")
    with database.write() as connection:
        old = _known(connection, prefix)
        if old.expired(now_ms):
            raise Conflict("this token has expired; make a new one", field="prefix")
        if prefix == _CONFIGURED:
            raise Conflict("this token is CANARY_ADMIN_TOKEN; change it there", field="prefix")
        life = None if old.expires_ms is None else max(_LEAST_LIFE_MS, old.expires_ms - old.created_ms)
        new = _new(old.role, old.name, now_ms)
        made = replace(new.stored, scope=old.scope, expires_ms=_end(now_ms, life), created_by=actor)
        tokens.add(connection, made, tokens.digest_of(new.secret))
        tokens.expire(connection, prefix, now_ms + overlap_ms)
        tokens.note(connection, made, "token.created", actor, now_ms, request_id)
        ending = tokens.get(connection, prefix)
        if ending is not None:
            tokens.note(connection, ending, "token.rotated", actor, now_ms, request_id)
    return NewToken(made, new.secret)


def revoke(database: Database, prefix: str, *, actor: str, now_ms: int, request_id: str = "") -> None:
    """End a token at once.

    Raises:
        NotFound: no token has this prefix. Conflict: it is the last admin's, and nobody could make another.
    """
    with database.write() as connection:
        tokens.hold(connection)
        token = _known(connection, prefix)
        lasting = token.role is Role.ADMIN and not token.expired(now_ms)
        if lasting and tokens.admins(connection, now_ms) == 1 and not people.admins(connection):
            raise Conflict("this is the last admin token; make another one first", field="prefix")
        tokens.remove(connection, prefix)
        tokens.note(connection, token, "token.revoked", actor, now_ms, request_id)


def recognise(database: Database, token: str, now_ms: int) -> Principal | None:
    """Whose token this is, remembering that it is in use; None for one that opens nothing."""
    with database.read() as connection:
        found = tokens.find(connection, token)
    if found is None or found.expired(now_ms):
        return None
    if found.last_used_ms is None or now_ms - found.last_used_ms >= _USED_EVERY_MS:
        # A database that cannot be written right now keeps nobody from reading.
        with contextlib.suppress(Unavailable), database.write() as connection:
            tokens.used(connection, found.prefix, now_ms)
    return Principal(found.name, found.role, found.scope)


def ensure_admin(database: Database, configured: str | None, now_ms: int) -> str | None:
    """Make sure that an admin can come in; returns a token to show once, if one had to be made.

    `configured` is the operator's own choice (CANARY_ADMIN_TOKEN); it takes the place of an earlier one. Without it, a
    token is made only where no admin has one.

    Raises:
        Invalid: the configured token is too short or too long, or is already known with a lesser role.
    """
    with database.write() as connection:
        tokens.hold(connection)
        if configured is None:
            if tokens.admins(connection, now_ms) or people.admins(connection):
                return None
            new = _new(Role.ADMIN, "first admin", now_ms)
            tokens.add(connection, new.stored, tokens.digest_of(new.secret))
            tokens.note(connection, new.stored, "token.created", _SERVER, now_ms)
            return new.secret
        _check_configured(configured)
        known = tokens.authenticate(connection, configured, now_ms)
        if known is not None and known.role is not Role.ADMIN:
            raise Invalid(f"this is the token of the {known.role.value} {known.name!r}", field="CANARY_ADMIN_TOKEN")
        if known is None:
            stored = StoredToken(_CONFIGURED, Role.ADMIN, "configured admin", now_ms)
            tokens.remove(connection, _CONFIGURED)
            tokens.add(connection, stored, tokens.digest_of(configured))
            tokens.note(connection, stored, "token.created", _SERVER, now_ms)
    return None


def can_administer(database: Database, now_ms: int) -> bool:
    """Whether anybody can: a token or a person."""
    with database.read() as connection:
        return bool(tokens.admins(connection, now_ms) or people.admins(connection))


def _known(connection: Connection, prefix: str) -> StoredToken:
    token = tokens.get(connection, prefix)
    if token is None:
        raise NotFound(f"no token begins with {prefix!r}", field="prefix")
    return token


def _end(now_ms: int, lasts_ms: int | None) -> int | None:
    if lasts_ms is None:
        return None
    if not _LEAST_LIFE_MS <= lasts_ms <= _MOST_LIFE_MS:
        least, most = duration_text(_LEAST_LIFE_MS), duration_text(_MOST_LIFE_MS)
        raise Invalid(f"a token lasts {least} to {most}, or without an end", field="lasts")
    return now_ms + lasts_ms


def _new(role: Role, name: str, now_ms: int) -> NewToken:
    secret = f"cnry_{role.value[0]}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return NewToken(StoredToken(secret[:_SHOWN], role, name, now_ms), secret)


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise Invalid(f"{text!r} is no role: use {', '.join(Role)}", field="role") from None


def _checked_name(name: str) -> str:
    if len(name) > 100:
        raise Invalid("a name has at most 100 characters", field="name")
    return name


def _check_configured(token: str) -> None:
    if not _LEAST_CONFIGURED <= len(token) <= _MOST_CONFIGURED or not token.isascii() or not token.isprintable():
        raise Invalid(
            f"use {_LEAST_CONFIGURED} to {_MOST_CONFIGURED} printable ASCII characters", field="CANARY_ADMIN_TOKEN"
        )
