"""Freeze windows as rows, and which of them are on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from controller import recurrence
from controller.domain.errors import AlreadyExists, ChangedMeanwhile, Frozen, Invalid, NotFound
from controller.domain.freezes import Active, Entering, Freeze, Window, held
from controller.domain.orders import Order
from controller.storage import scopes
from controller.storage.tables import freezes


def get(connection: Connection, key: str) -> Freeze:
    """One freeze.

    Raises:
        NotFound: there is none with this key.
    """
    row = connection.execute(select(freezes).where(freezes.c.key == key)).one_or_none()
    if row is None:
        raise NotFound(f"there is no freeze {key!r}; `canary freeze list` shows them", field="freeze")
    return _freeze(row)


def every(connection: Connection) -> list[Freeze]:
    """All freezes, by key."""
    return [_freeze(row) for row in connection.execute(select(freezes).order_by(freezes.c.key))]


def active(connection: Connection, now_ms: int) -> list[Active]:
    """The freezes that are on."""
    found = []
    for freeze in every(connection):
        window = present_window(freeze, now_ms)
        if window is not None:
            found.append(Active(freeze, window.ends_ms))
    return found


def check(connection: Connection, flag_key: str, order: Order) -> None:
    """Refuse what a freeze of this flag holds, unless the order says `force` with a reason.

    Raises:
        Frozen: one does. Invalid: it is forced without a reason.
    """
    found = held(active(connection, order.now_ms), flag_key)
    if not found.words:
        return
    if not order.force:
        raise Frozen(f"{found.words}. Say `force` with a reason to go on regardless", field="force")
    if not order.reason.strip():
        raise Invalid("going against a freeze needs a reason", field="reason")


def present_window(freeze: Freeze, now_ms: int) -> Window | None:
    """The window of a freeze that a moment is in; None where it is in none."""
    window = freeze.window
    if window is None:
        began_ms = recurrence.last_until(freeze.cron, freeze.zone, now_ms)
        window = None if began_ms is None else Window(began_ms, began_ms + freeze.lasts_ms)
    return window if window is not None and window.has(now_ms) else None


def next_window(freeze: Freeze, now_ms: int) -> Window | None:
    """The next window of a freeze that has not begun; None where none comes."""
    if freeze.window is not None:
        return freeze.window if freeze.window.starts_ms > now_ms else None
    begins_ms = recurrence.next_after(freeze.cron, freeze.zone, now_ms)
    return None if begins_ms is None else Window(begins_ms, begins_ms + freeze.lasts_ms)


def add(connection: Connection, freeze: Freeze) -> None:
    """A new freeze.

    Raises:
        AlreadyExists: the key is taken.
    """
    try:
        connection.execute(insert(freezes).values(**_values(freeze), created_ms=freeze.created_ms))
    except IntegrityError:
        raise AlreadyExists(f"a freeze {freeze.key!r} exists already", field="key") from None


def change(connection: Connection, before: Freeze, after: Freeze) -> None:
    """Replace a freeze, on condition that it is still as it was read.

    Raises:
        ChangedMeanwhile: it is not.
    """
    statement = update(freezes).where(freezes.c.key == before.key, freezes.c.version == before.version)
    if connection.execute(statement.values(**_values(after))).rowcount != 1:
        raise ChangedMeanwhile(f"freeze {before.key!r} is no longer at version {before.version}", field="version")


def remove(connection: Connection, freeze: Freeze) -> None:
    """Remove a freeze, on condition that it is still as it was read.

    Raises:
        ChangedMeanwhile: it is not.
    """
    statement = delete(freezes).where(freezes.c.key == freeze.key, freezes.c.version == freeze.version)
    if connection.execute(statement).rowcount != 1:
        raise ChangedMeanwhile(f"freeze {freeze.key!r} is no longer at version {freeze.version}", field="version")


def plain(freeze: Freeze) -> dict[str, Any]:
    """The freeze as an audit entry shows it."""
    flags = None if freeze.scope.flags is None else list(freeze.scope.flags)
    return {**_values(freeze), "flags": flags}


def _values(freeze: Freeze) -> dict[str, Any]:
    window = freeze.window
    return {
        "key": freeze.key,
        "reason": freeze.reason,
        "flags": scopes.stored(freeze.scope),
        "entering": freeze.entering.value,
        "starts_ms": window.starts_ms if window else None,
        "ends_ms": window.ends_ms if window else None,
        "cron": freeze.cron,
        "lasts_ms": freeze.lasts_ms,
        "zone": freeze.zone,
        "created_by": freeze.created_by,
        "version": freeze.version,
    }


def _freeze(row: Row[Any]) -> Freeze:
    return Freeze(
        key=row.key,
        reason=row.reason,
        scope=scopes.read(row.flags),
        entering=Entering(row.entering),
        window=None if row.starts_ms is None else Window(row.starts_ms, row.ends_ms),
        cron=row.cron,
        lasts_ms=row.lasts_ms,
        zone=row.zone,
        created_by=row.created_by,
        created_ms=row.created_ms,
        version=row.version,
    )
