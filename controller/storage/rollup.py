"""Windows grow wider with age: their counts stay exact, only the moment gets coarser."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, select

from controller.domain.tallies import Counts
from controller.domain.windows import WindowKey, window_of
from controller.storage import upserts
from controller.storage.tables import counters, windows

#: So many windows of the wider kind are made in one transaction, of one flag.
CHUNK = 60


def merged_until(connection: Connection, width_ms: int) -> int | None:
    """Before this moment all windows are at least so wide; None before the first time."""
    said = select(counters.c.value).where(counters.c.name == _name(width_ms))
    return connection.execute(said).scalar_one_or_none()


def note_merged(connection: Connection, width_ms: int, until_ms: int) -> None:
    """From now on all windows before this moment are at least so wide."""
    said = upserts.insert(connection.dialect.name, counters).values(name=_name(width_ms), value=until_ms)
    connection.execute(
        said.on_conflict_do_update(index_elements=[counters.c.name], set_={"value": said.excluded.value})
    )


def first_start(connection: Connection, flag_key: str) -> int | None:
    """When the oldest window of a flag begins."""
    first = connection.execute(select(func.min(windows.c.starts_ms)).where(windows.c.flag_key == flag_key)).scalar_one()
    return None if first is None else int(first)


def merge(connection: Connection, flag_key: str, from_ms: int, until_ms: int, width_ms: int) -> int:
    """Merge a flag's windows that begin in a stretch of time into windows of a width; returns how many rows are saved.

    Rows are taken out and put back in one transaction, so that whoever reads finds the same sums at every moment.
    """
    here = (windows.c.flag_key == flag_key, windows.c.starts_ms >= from_ms, windows.c.starts_ms < until_ms)
    names = ("flag_key", "variant", "event_type", "starts_ms", *Counts._fields)
    taken = connection.execute(delete(windows).where(*here).returning(*(windows.c[name] for name in names))).all()
    found: dict[WindowKey, Counts] = {}
    for flag, variant, event_type, starts_ms, *counts in taken:
        key = WindowKey(flag, variant, event_type, window_of(starts_ms, width_ms))
        found[key] = found.get(key, Counts()).plus(Counts(*counts))
    if found:
        connection.execute(insert(windows), [{**key._asdict(), **found[key]._asdict()} for key in sorted(found)])
    return len(taken) - len(found)


def _name(width_ms: int) -> str:
    return f"windows_merged_{width_ms}"
