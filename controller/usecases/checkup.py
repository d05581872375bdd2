"""A check-up of the database: what is well, what should be looked at, what is broken, and what mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection

from controller.domain.errors import Refusal
from controller.storage import archive, checkup, schema
from controller.storage.database import Database

#: By the database's clock; leases are measured by that one, event times by the controllers'.
_CLOCK_WARN_MS, _CLOCK_FAIL_MS = 2_000, 30_000
#: The release is tested with these; an older one lacks what it uses.
_OLDEST_POSTGRESQL, _NEWEST_POSTGRESQL = 15, 18
_MOST_TRANSACTION_S = 600
_EVALUATED_MS = 30_000
#: An entry is archived after an hour, by a sweep of every five minutes.
_ARCHIVED_MS = 2 * 3_600_000


class State(StrEnum):
    """ok; warn: look at it; fail: broken."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked: what was found, and (unless it is well) what mends it."""

    name: str
    state: State
    found: str
    fix: str = ""


Check = Callable[[Connection, int], Finding | None]


def check_schema(database: Database) -> Finding:
    """Whether this release works on the schema that is there.

    Raises:
        Unavailable: the database cannot be reached.
    """
    current, head = schema.current_revision(database), schema.head_revision()
    upgrade = "run `canary db upgrade`"
    if not schema.works_on(current):
        found = f"schema {current or 'none (empty)'}, this release needs {schema.MINIMUM} or newer"
        return Finding("schema", State.FAIL, found, upgrade)
    if schema.is_known(current) and current != head:
        found = f"schema {current}: this release works on it and brings {head}"
        return Finding("schema", State.WARN, found, f"{upgrade} when it suits you; processes may go on running")
    if current != head:
        return Finding("schema", State.OK, f"schema {current}, of a newer release; newer ones only add")
    return Finding("schema", State.OK, f"schema {current}, this release's own")


def check_database(database: Database, clock: Callable[[], int]) -> Iterator[Finding]:
    """The database from its schema to its lease; stops at what makes the rest pointless.

    `clock` is asked at each check: how long it took to get as far is no difference of clocks.
    """
    try:
        found = check_schema(database)
    except Refusal as refusal:
        fix = "is the server up, is CANARY_DATABASE_URL right, does a firewall stand between?"
        yield Finding("database", State.FAIL, refusal.detail, fix)
        return
    yield Finding("database", State.OK, database.url.render_as_string(hide_password=True))
    yield found
    if found.state is State.FAIL:
        return
    with database.read() as connection:
        for check in (_server, _connections, _transactions, _size, _clock, _partitions, _lease, _evaluated):
            told = check(connection, clock())
            if told is not None:
                yield told


def check_archive(database: Database, folder: Path, now_ms: int) -> Finding:
    """Whether the audit trail's archive fits the database's chain, and is fresh.

    Raises:
        Unavailable: the database cannot be reached.
    """
    try:
        with database.read() as connection:
            known = archive.archived(connection, folder, now_ms)
    except archive.ArchiveFault as fault:
        return Finding(
            "archive", State.FAIL, fault.detail, "see the log of whoever evaluates; docs/deployment.md, Audit trail"
        )
    found = f"{known.head.seq:,} entries of the audit trail in {folder}"
    if (known.waits_ms or 0) <= _ARCHIVED_MS:
        return Finding("archive", State.OK, found)
    late = f"{found}; the next one has waited for {(known.waits_ms or 0) / 3_600_000:.0f} h"
    return Finding(
        "archive", State.WARN, late, "whoever evaluates writes it: see its log, and its CANARY_AUDIT_ARCHIVE"
    )


def _server(connection: Connection, _now_ms: int) -> Finding | None:
    server = checkup.server(connection)
    if server is None:
        return None
    major = server.version // 10_000
    if _OLDEST_POSTGRESQL <= major <= _NEWEST_POSTGRESQL:
        return Finding("server", State.OK, f"PostgreSQL {major}")
    state = State.FAIL if major < _OLDEST_POSTGRESQL else State.WARN
    return Finding("server", state, f"PostgreSQL {major}", "use one of the versions 15 to 18")


def _connections(connection: Connection, _now_ms: int) -> Finding | None:
    server = checkup.server(connection)
    if server is None:
        return None
    found = f"{server.connections} of {server.most_connections} connections in use"
    if server.connections < 0.8 * server.most_connections:
        return Finding("connections", State.OK, found)
    return Finding("connections", State.WARN, found, "raise max_connections, or lower CANARY_POOL_SIZE")


def _transactions(connection: Connection, _now_ms: int) -> Finding | None:
    oldest_s = checkup.oldest_transaction_s(connection)
    if oldest_s <= _MOST_TRANSACTION_S:
        return None
    found = f"a transaction has been open for {oldest_s / 60:.0f} minutes"
    return Finding("transactions", State.WARN, found, "end it: what is deleted meanwhile takes room until then")


def _size(connection: Connection, _now_ms: int) -> Finding:
    size = checkup.size_bytes(connection)
    found = f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
    if checkup.server(connection) is not None:
        found += "; the room left on its disk is only to be seen on the server's machine"
    return Finding("size", State.OK, found)


def _clock(connection: Connection, now_ms: int) -> Finding:
    offset_ms = checkup.clock_ms(connection, now_ms) - now_ms
    found = f"the database's clock is {offset_ms / 1000:+.1f} s from this machine's"
    if abs(offset_ms) < _CLOCK_WARN_MS:
        return Finding("clock", State.OK, found)
    state = State.WARN if abs(offset_ms) < _CLOCK_FAIL_MS else State.FAIL
    return Finding("clock", state, found, "let chrony or ntpd keep both machines' clocks")


def _partitions(connection: Connection, now_ms: int) -> Finding | None:
    missing = checkup.days_missing(connection, now_ms)
    if missing is None:
        return None
    if not missing:
        return Finding("partitions", State.OK, "raw outcomes have their days for a week to come")
    found = f"{missing} of the partitions up to a week from now are not there yet"
    return Finding("partitions", State.WARN, found, "whoever evaluates makes them every five minutes: see its log")


def _lease(connection: Connection, now_ms: int) -> Finding:
    lease = checkup.lease(connection)
    left_ms = lease.expires_ms - checkup.clock_ms(connection, now_ms)
    if left_ms > 0:
        return Finding("lease", State.OK, f"{lease.holder} evaluates under term {lease.term}")
    live = checkup.unevaluated(connection)
    found = f"nobody evaluates; {lease.holder or 'nobody'} did last, {-left_ms / 1000:.0f} s ago"
    if not lease.holder:
        found = "nobody has ever evaluated here"
    fix = "start `canary serve` with the role all or scheduler"
    return Finding("lease", State.FAIL if live else State.WARN, found, fix)


def _evaluated(connection: Connection, now_ms: int) -> Finding | None:
    late = {
        key: at_ms for key, at_ms in checkup.unevaluated(connection).items() if now_ms - (at_ms or 0) > _EVALUATED_MS
    }
    if not late:
        return None
    found = f"not evaluated for more than 30 s: {', '.join(sorted(late)[:5])}"
    return Finding("evaluation", State.FAIL, found, "see the log of whoever holds the lease; docs/runbook.md")
