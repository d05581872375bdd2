"""Tokens as rows: only hashes of them are kept."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from controller.domain.principals import Principal, Role
from controller.storage.tables import audit, installation, tokens


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token without its secret; `prefix` is how people tell tokens apart."""

    prefix: str
    role: Role
    name: str
    created_ms: int


def digest_of(token: str) -> str:
    """What is kept of a token. A plain hash will do: there is nothing to guess in 32 random bytes."""
    return sha256(token.encode()).hexdigest()


def authenticate(connection: Connection, token: str) -> Principal | None:
    """Whose token this is; None for one that was never made or has been revoked.

    It is found by its hash, which no sender can steer, and compared in constant time.
    """
    digest = digest_of(token)
    row = connection.execute(select(tokens).where(tokens.c.digest == digest)).one_or_none()
    known = row is not None and hmac.compare_digest(row.digest, digest)
    return Principal(row.name, Role(row.role)) if known and row is not None else None


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
    connection.execute(insert(tokens).values(**values, digest=digest))


def remove(connection: Connection, prefix: str) -> None:
    """Forget a token; it opens nothing from now on."""
    connection.execute(delete(tokens).where(tokens.c.prefix == prefix))


def admins(connection: Connection) -> int:
    """How many admin tokens there are."""
    statement = select(func.count()).select_from(tokens).where(tokens.c.role == Role.ADMIN.value)
    return connection.execute(statement).scalar_one()


def hold(connection: Connection) -> None:
    """Keep others who count admins waiting until this transaction ends (an embedded database has one writer anyway)."""
    connection.execute(select(installation.c.value).where(installation.c.name == "environment").with_for_update())


def note(connection: Connection, token: StoredToken, action: str, actor: str, now_ms: int) -> None:
    """Write the audit entry of a token that was made or revoked."""
    plain = {"role": token.role.value, "name": token.name}
    before, after = (plain, None) if action == "token.revoked" else (None, plain)
    entry: dict[str, Any] = {"actor": actor, "action": action, "subject": f"token/{token.prefix}", "reason": ""}
    connection.execute(insert(audit).values(**entry, at_ms=now_ms, before=before, after=after, request_id=""))


def _stored(row: Row[Any]) -> StoredToken:
    return StoredToken(row.prefix, Role(row.role), row.name, row.created_ms)
