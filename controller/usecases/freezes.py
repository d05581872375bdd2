"""What people do with freeze windows."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from controller import recurrence
from controller.domain.errors import ChangedMeanwhile, Conflict, Invalid, OutOfScope
from controller.domain.freezes import Entering, Freeze, Window
from controller.domain.orders import Order
from controller.recurrence import BadRecurrenceError
from controller.storage import freezes, record
from controller.storage.database import Database

#: All of them are read whenever a rollout is judged.
_MOST = 200


@dataclass(frozen=True, slots=True)
class FreezeChange:
    """What is to change of a freeze; None leaves a field as it is. `ends_ms` is of one that happens once."""

    reason: str | None = None
    entering: Entering | None = None
    ends_ms: int | None = None

    def applied_to(self, freeze: Freeze) -> Freeze:
        """The freeze after it, with the next version; raises Invalid where it does not fit together."""
        window = freeze.window
        if self.ends_ms is not None:
            if window is None:
                raise Invalid("this freeze recurs; remove it and add another", field="until_ms")
            window = Window(window.starts_ms, self.ends_ms)
        return replace(
            freeze,
            reason=freeze.reason if self.reason is None else self.reason,
            entering=freeze.entering if self.entering is None else self.entering,
            window=window,
            version=freeze.version + 1,
        )


def add(database: Database, freeze: Freeze, order: Order) -> Freeze:
    """A new freeze; one that is on from now on holds at once.

    Raises:
        AlreadyExists: the key is taken. Invalid: it is over already, or no such recurrence or time zone. OutOfScope: it
        holds flags that are not the actor's. Conflict: there are too many.
    """
    _check(freeze, order)
    freeze = replace(freeze, created_by=order.actor, created_ms=order.now_ms, version=1)
    with database.write() as connection:
        if len(freezes.every(connection)) >= _MOST:
            raise Conflict(f"there are {_MOST} freezes; remove those that are over", field="key")
        freezes.add(connection, freeze)
        _note(connection, None, freeze, "freeze.added", order)
    return freeze


def change(database: Database, key: str, wanted: FreezeChange, order: Order) -> Freeze:
    """Prolong or shorten a freeze, or change its words, at the version it was read at.

    Raises:
        NotFound, ChangedMeanwhile, OutOfScope; Invalid: it does not fit together.
    """
    with database.write() as connection:
        before = _read(connection, key, order)
        after = wanted.applied_to(before)
        freezes.change(connection, before, after)
        _note(connection, before, after, "freeze.changed", order)
    return after


def remove(database: Database, key: str, order: Order) -> None:
    """End a freeze, now and for good.

    Raises:
        NotFound, ChangedMeanwhile, OutOfScope.
    """
    with database.write() as connection:
        before = _read(connection, key, order)
        freezes.remove(connection, before)
        _note(connection, before, None, "freeze.removed", order)


def _check(freeze: Freeze, order: Order) -> None:
    if not freeze.scope.within(order.scope):
        raise OutOfScope(f"it would hold {freeze.scope}; you may hold {order.scope}", field="flags")
    if freeze.window is not None and freeze.window.ends_ms <= order.now_ms:
        raise Invalid("it is over already", field="until_ms")
    if freeze.cron:
        try:
            recurrence.check(freeze.cron, freeze.zone, order.now_ms)
        except BadRecurrenceError as error:
            raise Invalid(str(error), field=error.field) from None


def _read(connection: Connection, key: str, order: Order) -> Freeze:
    found = freezes.get(connection, key)
    if order.version is not None and found.version != order.version:
        raise ChangedMeanwhile(f"freeze {key!r} is at version {found.version}, not {order.version}", field="version")
    if not found.scope.within(order.scope):
        raise OutOfScope(f"it holds {found.scope}; you may change what holds {order.scope}", field="flags")
    return found


def _note(connection: Connection, before: Freeze | None, after: Freeze | None, action: str, order: Order) -> None:
    freeze = after or before
    if freeze is None:
        return
    subject = f"freeze/{freeze.key}"
    record.note(
        connection,
        actor=order.actor,
        action=action,
        subject=subject,
        reason=order.reason,
        at_ms=order.now_ms,
        before=None if before is None else freezes.plain(before),
        after=None if after is None else freezes.plain(after),
        request_id=order.request_id,
    )
    words = f"{freeze.when}, {freeze.scope}: {freeze.reason}"
    record.tell(connection, action, subject, words, actor=order.actor, at_ms=order.now_ms)
