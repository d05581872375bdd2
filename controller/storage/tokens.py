"""Tokens as rows: only hashes of them are kept."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from controller.domain.principals import Principal, Role
from controller.domain.scopes import EVERYWHERE, Scope
from controller.storage import audit, scopes
from controller.storage.tables import installation, tokens


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token without its secret; `prefix` is how people tell tokens apart.

    Attributes:
        scope: the flags that an operator's token may change.
        expires_ms: when it opens nothing any more; None: never by itself.
        last_used_ms: about when it was last used, to the minute.
    """

    prefix: str
    role: Role
    name: str
    created_ms: int
    scope: Scope = EVERYWHERE
    expires_ms: int | None = None
    last_used_ms: int | None = None
    created_by: str = ""

    def expired(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return self.expires_ms is not None and self.expires_ms <= now_ms


def digest_of(token: str) -> str:
    """What is kept of a token. A plain hash will do: there is nothing to guess in 32 random bytes."""
    return sha256(token.encode()).hexdigest()


def authenticate(connection: Connection, token: str, now_ms: int = 0) -> Principal | None:
    """Whose token this is; None for one that was never made, has been revoked or has expired.

    It is found by its hash, which no sender can steer, and compared in constant time.
    """
    found = find(connection, token)
    if found is None or found.expired(now_ms):
        return None
    return Principal(found.name, found.role, found.scope)


def find(connection: Connection, token: str) -> StoredToken | None:
    """The token with this secret, expired or not."""
    digest = digest_of(token)
    row = connection.execute(select(tokens).where(tokens.c.digest == digest)).one_or_none()
    known = row is not None and hmac.compare_digest(row.digest, digest)
    return _stored(row) if known and row is not None else None


def every(connection: Connection) -> list[StoredToken]:
    """All tokens, the oldest first."""
    rows = connection.execute(select(tokens).order_by(tokens.c.created_ms, tokens.c.prefix))
    return [_stored(row) for row in rows]


def get(connection: Connection, prefix: str) -> StoredToken | None:
    """The token with this prefix."""
    row = connection.execute(select(tokens).where(tokens.c.prefix == prefix)).one_or_none()
    return None if row is None else _stored(row)


def add(connection: Connection, token: StoredToken, digest: str) -> None:
    """A new token."""
    values = {"prefix": token.prefix, "role": token.role.value, "name": token.name, "created_ms": token.created_ms}
    more = {"expires_ms": token.expires_ms, "flags": scopes.stored(token.scope), "created_by": token.created_by}
    connection.execute(insert(tokens).values(**values, **more, digest=digest))


def expire(connection: Connection, prefix: str, expires_ms: int) -> None:
    """Let a token end at a time, unless it ends before that anyway."""
    later = or_(tokens.c.expires_ms.is_(None), tokens.c.expires_ms > expires_ms)
    connection.execute(update(tokens).where(tokens.c.prefix == prefix, later).values(expires_ms=expires_ms))


def used(connection: Connection, prefix: str, now_ms: int) -> None:
    """Remember that a token is in use."""
    connection.execute(update(tokens).where(tokens.c.prefix == prefix).values(last_used_ms=now_ms))


def remove(connection: Connection, prefix: str) -> None:
    """Forget a token; it opens nothing from now on."""
    connection.execute(delete(tokens).where(tokens.c.prefix == prefix))


def admins(connection: Connection, now_ms: int = 0) -> int:
    """How many admin tokens there are that do not end by themselves, or not before a time."""
    lasting = or_(tokens.c.expires_ms.is_(None), tokens.c.expires_ms > now_ms)
    statement = select(func.count()).select_from(tokens).where(tokens.c.role == Role.ADMIN.value, lasting)
    return connection.execute(statement).scalar_one()


def named(connection: Connection, name: str) -> bool:
    """Whether a token has this name."""
    statement = select(func.count()).select_from(tokens).where(func.lower(tokens.c.name) == name.lower())
    return connection.execute(statement).scalar_one() > 0


def hold(connection: Connection) -> None:
    """Keep others who count admins waiting until this transaction ends (an embedded database has one writer anyway)."""
    connection.execute(select(installation.c.value).where(installation.c.name == "environment").with_for_update())


def note(
    connection: Connection, token: StoredToken, action: str, actor: str, now_ms: int, request_id: str = ""
) -> None:
    """Write the audit entry of a token that was made, rotated or revoked."""
    before, after = (plain(token), None) if action == "token.revoked" else (None, plain(token))
    entry: dict[str, Any] = {"actor": actor, "action": action, "subject": f"token/{token.prefix}", "reason": ""}
    audit.add(connection, **entry, at_ms=now_ms, before=before, after=after, request_id=request_id)


def plain(token: StoredToken) -> dict[str, Any]:
    """The token as an audit entry shows it."""
    shown: dict[str, Any] = {"role": token.role.value, "name": token.name}
    if not token.scope.everything:
        shown["flags"] = list(token.scope.flags or ())
    return {**shown, "expires_ms": token.expires_ms} if token.expires_ms is not None else shown


def _stored(row: Row[Any]) -> StoredToken:
    return StoredToken(
        row.prefix,
        Role(row.role),
        row.name,
        row.created_ms,
        scope=scopes.read(row.flags),
        expires_ms=row.expires_ms,
        last_used_ms=row.last_used_ms,
        created_by=row.created_by,
    )
