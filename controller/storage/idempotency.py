"""Answers to requests that carried an idempotency key, for a day."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, select, update

from controller.storage import upserts
from controller.storage.tables import idempotency

#: How long an answer is kept.
KEPT_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a key: a digest of the request, and its answer; no status where it cannot be given again."""

    request: str
    status: int | None
    body: bytes | None


def claim(connection: Connection, principal: str, key: str, request: str, now_ms: int) -> Kept | None:
    """Take a key for the transaction that acts; what is kept of it where somebody has taken it before, else None.

    On PostgreSQL a second request with the key waits here until the first one's transaction has ended.
    """
    connection.execute(delete(idempotency).where(idempotency.c.at_ms <= now_ms - KEPT_MS))
    row = {"principal": principal, "key": key, "request": request, "at_ms": now_ms}
    made = upserts.insert(connection.dialect.name, idempotency).values(**row).on_conflict_do_nothing()
    if connection.execute(made.returning(idempotency.c.key)).first() is not None:
        return None
    columns = (idempotency.c.request, idempotency.c.status, idempotency.c.body)
    found = connection.execute(select(*columns).where(_where(principal, key))).one()
    return Kept(found.request, found.status, None if found.body is None else bytes(found.body))


def keep(connection: Connection, principal: str, key: str, status: int, body: bytes) -> None:
    """Keep the answer."""
    connection.execute(update(idempotency).where(_where(principal, key)).values(status=status, body=body))


def _where(principal: str, key: str) -> ColumnElement[bool]:
    return (idempotency.c.principal == principal) & (idempotency.c.key == key)
