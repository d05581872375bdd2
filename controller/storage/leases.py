"""The leader lease as a row: taken by condition, fenced by its term."""

from __future__ import annotations

from sqlalchemy import Connection, or_, select, text, update

from controller.domain.errors import StaleTerm
from controller.domain.leases import LEASE_MS, SETTLED_MS, Lease
from controller.storage import presence
from controller.storage.tables import leases

_LEADER = leases.c.name == "leader"


def now(connection: Connection, clock_ms: int) -> int:
    """The time that leases are measured by: PostgreSQL's own, since replicas' clocks differ; else the caller's."""
    if connection.dialect.name != "postgresql":
        return clock_ms
    return int(connection.execute(text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")).scalar_one())


def current(connection: Connection) -> Lease:
    """Who holds the lease, or held it last."""
    row = connection.execute(select(leases.c.holder, leases.c.term, leases.c.expires_ms).where(_LEADER)).one()
    return Lease(row.holder, row.term, row.expires_ms)


def acquire(connection: Connection, holder: str, now_ms: int) -> Lease | None:
    """Renew the lease, or take it over when it has run out or its holder is gone; None while somebody else holds it.

    Taking over makes the term grow, even for the same holder: whatever was begun under the old term is refused. A
    holder is gone that shows no sign of life although it has had the time to (storage/presence.py).
    """
    renewed = (
        update(leases)
        .where(_LEADER, leases.c.holder == holder, leases.c.expires_ms > now_ms)
        .values(expires_ms=now_ms + LEASE_MS)
    )
    if connection.execute(renewed).rowcount == 1:
        return current(connection)
    free = leases.c.expires_ms <= now_ms
    if presence.shown(connection) is False:
        free = or_(free, leases.c.expires_ms <= now_ms + LEASE_MS - SETTLED_MS)
    taken = (
        update(leases).where(_LEADER, free).values(holder=holder, term=leases.c.term + 1, expires_ms=now_ms + LEASE_MS)
    )
    return current(connection) if connection.execute(taken).rowcount == 1 else None


def release(connection: Connection, holder: str) -> None:
    """Give the lease up at a clean stop, so that another process need not wait for it to run out."""
    connection.execute(update(leases).where(_LEADER, leases.c.holder == holder).values(expires_ms=0))


def check(connection: Connection, holder: str, term: int) -> None:
    """Make sure, inside the transaction that acts, that this term is still the newest; no takeover until it ends.

    Raises:
        StaleTerm: another process (or a later term of this one) evaluates by now.
    """
    statement = select(leases.c.holder, leases.c.term).where(_LEADER).with_for_update(read=True)
    row = connection.execute(statement).one()
    if (row.holder, row.term) != (holder, term):
        raise StaleTerm(f"term {term} of {holder} is over; {row.holder} evaluates under term {row.term}")
