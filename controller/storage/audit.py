"""The audit trail as rows: appended by whoever changes something, and joined to the chain as the transaction ends.

An entry takes its place in the chain in the last statement before the commit, so that writers wait for each other no
longer than a commit takes, and never for each other's rows in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from controller.domain.chain import COVERED, Head, entry_digest, head_of
from controller.storage.tables import audit, installation

#: Columns of an entry as a chain has it.
CHAINED = ("id", "seq", "previous", "digest", *COVERED)

_HEAD = installation.c.name == "audit_head"
_MARK = "canary_unsealed"
#: Entries that one transaction takes into the chain besides its own: what a release before the chain has written.
_MOST = 2_000


def add(connection: Connection, **entry: Any) -> None:
    """Write an entry, which joins the chain as the transaction ends."""
    connection.execute(insert(audit).values(**entry))
    connection.info[_MARK] = True


def begin(connection: Connection) -> None:
    """A transaction begins on a connection that another one may have used and given up."""
    connection.info.pop(_MARK, None)


def seal(connection: Connection) -> None:
    """Take new entries into the chain; the last that a transaction does. Nothing where it has written none."""
    if not connection.info.pop(_MARK, False):
        return
    head = _head(connection, lock=True)
    rows = connection.execute(select(audit).where(audit.c.digest.is_(None)).order_by(audit.c.id).limit(_MOST))
    for row in [dict(one) for one in rows.mappings()]:
        following = Head(head.seq + 1, entry_digest(head.seq + 1, head.digest, row))
        values = {"seq": following.seq, "previous": head.digest, "digest": following.digest}
        connection.execute(update(audit).where(audit.c.id == row["id"]).values(**values))
        head = following
    connection.execute(update(installation).where(_HEAD).values(value=str(head)))


def head(connection: Connection) -> Head:
    """The last entry of the chain, as the installation remembers it."""
    return _head(connection, lock=False)


def chained(connection: Connection, after: int, limit: int) -> list[dict[str, Any]]:
    """Entries of the chain behind a number, in order, as plain rows."""
    columns = (audit.c[name] for name in CHAINED)
    statement = select(*columns).where(audit.c.seq > after).order_by(audit.c.seq).limit(limit)
    return [dict(row) for row in connection.execute(statement).mappings()]


def pages(connection: Connection, limit: int = 1_000) -> Iterator[list[dict[str, Any]]]:
    """The whole chain in pages."""
    after = 0
    while rows := chained(connection, after, limit):
        yield rows
        after = rows[-1]["seq"]


def unchained(connection: Connection) -> int:
    """How many entries are not in the chain yet: written by a release before it."""
    return connection.execute(select(func.count()).select_from(audit).where(audit.c.digest.is_(None))).scalar_one()


def _head(connection: Connection, *, lock: bool) -> Head:
    statement = select(installation.c.value).where(_HEAD)
    text = connection.execute(statement.with_for_update() if lock else statement).scalar_one_or_none()
    found = head_of(text or "")
    return found if found is not None else Head()
