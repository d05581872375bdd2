"""Application versions that failed, by flag, until a person lifts them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from controller.storage import upserts
from controller.storage.tables import quarantines


class Quarantine(NamedTuple):
    """One version: which rollout's round it failed in, since when, and why."""

    flag_key: str
    app_version: str
    rollout: str
    round: int
    since_ms: int
    message: str


_COLUMNS = [quarantines.c[name] for name in Quarantine._fields]


def every(connection: Connection, flag_key: str | None = None) -> list[Quarantine]:
    """All versions in quarantine, or those of a flag."""
    statement = select(*_COLUMNS).order_by(quarantines.c.flag_key, quarantines.c.app_version)
    if flag_key is not None:
        statement = statement.where(quarantines.c.flag_key == flag_key)
    return [Quarantine(*row) for row in connection.execute(statement)]


def versions(connection: Connection) -> dict[str, tuple[str, ...]]:
    """The versions in quarantine by flag."""
    found: dict[str, tuple[str, ...]] = {}
    for one in every(connection):
        found[one.flag_key] = (*found.get(one.flag_key, ()), one.app_version)
    return found


def add(connection: Connection, found: Iterable[Quarantine]) -> None:
    """Put versions into quarantine; one that is there already stays as it is."""
    rows = [one._asdict() for one in found]
    if rows:
        connection.execute(upserts.insert(connection.dialect.name, quarantines).on_conflict_do_nothing(), rows)


def lift(connection: Connection, flag_key: str, lifted: Collection[str]) -> list[str]:
    """End quarantines; returns those that there were."""
    here = (quarantines.c.flag_key == flag_key) & quarantines.c.app_version.in_(sorted(lifted))
    return sorted(connection.execute(delete(quarantines).where(here).returning(quarantines.c.app_version)).scalars())
