"""Facts about the database that an operator wants checked: its clock, room, connections, lease and partitions."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, func, select, text

from controller.domain.leases import Lease
from controller.domain.rollouts import LIVE
from controller.storage import leases, partitions
from controller.storage.tables import judge_states, rollouts

_LIVE = tuple(phase.value for phase in LIVE)


class Server(NamedTuple):
    """A PostgreSQL server: its version (170004 is 17.4), and how many connections it takes and has."""

    version: int
    most_connections: int
    connections: int


def lease(connection: Connection) -> Lease:
    """Who holds the leader lease, or held it last."""
    return leases.current(connection)


def clock_ms(connection: Connection, own_ms: int) -> int:
    """The time by the database's clock; an embedded database has none of its own."""
    return leases.now(connection, own_ms)


def size_bytes(connection: Connection) -> int:
    """How much room the database takes."""
    if connection.dialect.name == "postgresql":
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    return int(pages) * int(connection.execute(text("PRAGMA page_size")).scalar_one())


def server(connection: Connection) -> Server | None:
    """The server behind; None for an embedded database."""
    if connection.dialect.name != "postgresql":
        return None
    asked = text(
        "SELECT current_setting('server_version_num')::int, current_setting('max_connections')::int, "
        "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
    )
    return Server(*(int(value) for value in connection.execute(asked).one()))


def oldest_transaction_s(connection: Connection) -> float:
    """How long the longest transaction of anybody has been open: it keeps deleted rows from being cleared away."""
    if connection.dialect.name != "postgresql":
        return 0.0
    oldest = text(
        "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) FROM pg_stat_activity "
        "WHERE xact_start IS NOT NULL AND backend_type = 'client backend'"
    )
    return float(connection.execute(oldest).scalar_one())


def unevaluated(connection: Connection) -> dict[str, int | None]:
    """When each live rollout was evaluated last; None: never."""
    joined = rollouts.outerjoin(judge_states, judge_states.c.rollout == rollouts.c.key)
    columns = (rollouts.c.key, func.coalesce(judge_states.c.evaluated_ms, rollouts.c.started_ms))
    found = select(*columns).select_from(joined).where(rollouts.c.phase.in_(_LIVE))
    return {row[0]: row[1] for row in connection.execute(found)}


def days_missing(connection: Connection, now_ms: int) -> int | None:
    """How many of the partitions that should be there are not; None where raw outcomes are not partitioned."""
    return len(partitions.missing(connection, now_ms)) if partitions.partitioned(connection) else None
