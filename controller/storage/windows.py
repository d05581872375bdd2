"""Windows as rows: raw counts by event time, for people and charts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Executable, func, literal_column, select

from controller.domain.rollouts import Rollout
from controller.domain.tallies import Counts
from controller.domain.windows import WindowKey
from controller.storage import upserts
from controller.storage.tables import windows

_DAY_MS = 86_400_000
_SUMS = tuple(func.coalesce(func.sum(windows.c[name]), 0) for name in Counts._fields)


def add(connection: Connection, counts: Mapping[WindowKey, Counts]) -> None:
    """Add counts to their windows, in sorted key order, so that two writers never wait for each other."""
    if not counts:
        return
    rows = [{**key._asdict(), **counts[key]._asdict()} for key in sorted(counts)]
    connection.execute(_addition(connection.dialect.name), rows)


def health(connection: Connection, flag_key: str, since_ms: int) -> dict[tuple[str, str], Counts]:
    """The sums since a time by (variant, event type)."""
    statement = (
        select(windows.c.variant, windows.c.event_type, *_SUMS)
        .where(windows.c.flag_key == flag_key, windows.c.starts_ms >= since_ms)
        .group_by(windows.c.variant, windows.c.event_type)
    )
    return {(row[0], row[1]): _counts(row[2:]) for row in connection.execute(statement)}


def health_of_flags(
    connection: Connection, flag_keys: Collection[str], since_ms: int
) -> dict[str, dict[tuple[str, str], Counts]]:
    """The sums since a time of some flags: by flag, then by (variant, event type)."""
    statement = (
        select(windows.c.flag_key, windows.c.variant, windows.c.event_type, *_SUMS)
        .where(windows.c.flag_key.in_(sorted(flag_keys)), windows.c.starts_ms >= since_ms)
        .group_by(windows.c.flag_key, windows.c.variant, windows.c.event_type)
    )
    found: dict[str, dict[tuple[str, str], Counts]] = {}
    for flag_key, variant, event_type, *sums in connection.execute(statement):
        found.setdefault(flag_key, {})[variant, event_type] = _counts(sums)
    return found


def control_counts(connection: Connection, rollout: Rollout, now_ms: int) -> Counts:
    """What became of the rollout's events on its control over the last 24 hours."""
    total = Counts()
    for (variant, event_type), counts in health(connection, rollout.flag_key, now_ms - _DAY_MS).items():
        if variant == rollout.control and event_type in rollout.plan.events:
            total = total.plus(counts)
    return total


def series(
    connection: Connection, flag_key: str, since_ms: int, step_ms: int
) -> dict[tuple[str, str], dict[int, Counts]]:
    """By (variant, event type) the counts of each interval of `step_ms`, by its start; empty intervals are left out."""
    # Of a known type, or PostgreSQL would be asked to divide as for fractions.
    step: ColumnElement[int] = literal_column(str(int(step_ms)), BigInteger)
    start = (windows.c.starts_ms // step * step).label("start")
    statement = (
        select(windows.c.variant, windows.c.event_type, start, *_SUMS)
        .where(windows.c.flag_key == flag_key, windows.c.starts_ms >= since_ms)
        .group_by(windows.c.variant, windows.c.event_type, start)
        .order_by(start)
    )
    found: dict[tuple[str, str], dict[int, Counts]] = {}
    for variant, event_type, at_ms, *sums in connection.execute(statement):
        found.setdefault((variant, event_type), {})[at_ms] = _counts(sums)
    return found


@cache
def _addition(dialect: str) -> Executable:
    insert = upserts.insert(dialect, windows)
    sums: dict[str, ColumnElement[int]] = {name: windows.c[name] + insert.excluded[name] for name in Counts._fields}
    return insert.on_conflict_do_update(index_elements=list(windows.primary_key), set_=sums)


def _counts(sums: Iterable[Any]) -> Counts:
    return Counts(*(int(value) for value in sums))  # PostgreSQL sums to Decimal
