"""Bearer tokens: made, listed and revoked by admins, and the first admin's own."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from controller.domain.errors import Conflict, Invalid, NotFound
from controller.domain.principals import Role
from controller.storage import tokens
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


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made; `secret` is shown once and kept nowhere."""

    stored: StoredToken
    secret: str


def create(database: Database, role: str, name: str, *, actor: str, now_ms: int) -> NewToken:
    """Make a token.

    Raises:
        Invalid: no such role, or a name of more than 100 characters.
    """
    new = _new(_role(role), _checked_name(name) or role, now_ms)
    with database.write() as connection:
        tokens.add(connection, new.stored, tokens.digest_of(new.secret))
        tokens.note(connection, new.stored, "token.created", actor, now_ms)
    return new


def revoke(database: Database, prefix: str, *, actor: str, now_ms: int) -> None:
    """End a token at once.

    Raises:
        NotFound: no token has this prefix. Conflict: it is the last admin's, and nobody could make another.
    """
    with database.write() as connection:
        tokens.hold(connection)
        token = tokens.get(connection, prefix)
        if token is None:
            raise NotFound(f"no token begins with {prefix!r}", field="prefix")
        if token.role is Role.ADMIN and tokens.admins(connection) == 1:
            raise Conflict("this is the last admin token; make another one first", field="prefix")
        tokens.remove(connection, prefix)
        tokens.note(connection, token, "token.revoked", actor, now_ms)


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
            if tokens.admins(connection):
                return None
            new = _new(Role.ADMIN, "first admin", now_ms)
            tokens.add(connection, new.stored, tokens.digest_of(new.secret))
            tokens.note(connection, new.stored, "token.created", _SERVER, now_ms)
            return new.secret
        _check_configured(configured)
        known = tokens.authenticate(connection, configured)
        if known is not None and known.role is not Role.ADMIN:
            raise Invalid(f"this is the token of the {known.role.value} {known.name!r}", field="CANARY_ADMIN_TOKEN")
        if known is None:
            stored = StoredToken(_CONFIGURED, Role.ADMIN, "configured admin", now_ms)
            tokens.remove(connection, _CONFIGURED)
            tokens.add(connection, stored, tokens.digest_of(configured))
            tokens.note(connection, stored, "token.created", _SERVER, now_ms)
    return None


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
