"""Flags as rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from controller.domain.errors import AlreadyExists, ChangedMeanwhile, UnknownFlag
from controller.domain.flags import Flag
from controller.storage.tables import flags
from controller.wire.targeting import plain_targeting, read_targeting


def get(connection: Connection, key: str) -> Flag:
    """One flag.

    Raises:
        UnknownFlag: there is none with this key.
    """
    row = connection.execute(select(flags).where(flags.c.key == key)).one_or_none()
    if row is None:
        raise UnknownFlag(f"there is no flag {key!r}; `canary flag list` shows them", field="flag")
    return _flag(row)


def every(connection: Connection) -> list[Flag]:
    """All flags, by key."""
    return [_flag(row) for row in connection.execute(select(flags).order_by(flags.c.key))]


def variants(connection: Connection) -> dict[str, frozenset[str]]:
    """The variants' names by flag: what a report is checked against."""
    rows = connection.execute(select(flags.c.key, flags.c.variants))
    return {row.key: frozenset(row.variants) for row in rows}


def killed(connection: Connection) -> set[str]:
    """The keys of flags whose kill switch is off."""
    return set(connection.execute(select(flags.c.key).where(flags.c.enabled.is_(False))).scalars())


def add(connection: Connection, flag: Flag) -> None:
    """A new flag.

    Raises:
        AlreadyExists: the key is taken.
    """
    try:
        connection.execute(insert(flags).values(**_values(flag), created_ms=flag.created_ms))
    except IntegrityError:
        raise AlreadyExists(f"a flag {flag.key!r} exists already", field="key") from None


def change(connection: Connection, before: Flag, after: Flag) -> None:
    """Replace a flag, on condition that it is still as it was read.

    Raises:
        ChangedMeanwhile: it is not.
    """
    statement = update(flags).where(flags.c.key == before.key, flags.c.version == before.version)
    if connection.execute(statement.values(**_values(after))).rowcount != 1:
        raise ChangedMeanwhile(f"flag {before.key!r} is no longer at version {before.version}", field="version")


def _values(flag: Flag) -> dict[str, Any]:
    return {
        "key": flag.key,
        "variants": dict(flag.variants),
        "control": flag.control,
        "served": flag.served,
        "enabled": flag.enabled,
        "description": flag.description,
        "version": flag.version,
        "updated_ms": flag.updated_ms,
        "targeting": plain_targeting(flag.targeting),
    }


def _flag(row: Row[Any]) -> Flag:
    values = row._asdict()
    return Flag(**{**values, "targeting": read_targeting(values["targeting"] or {})})


def plain(flag: Flag) -> dict[str, Any]:
    """The flag as an audit entry shows it."""
    return _values(flag)
