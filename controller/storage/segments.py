"""Segments as rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from controller.domain.errors import AlreadyExists, ChangedMeanwhile, UnknownSegment
from controller.domain.segments import Segment
from controller.storage.tables import segments
from controller.wire.targeting import plain_condition, read_condition


def get(connection: Connection, key: str) -> Segment:
    """One segment.

    Raises:
        UnknownSegment: there is none with this key.
    """
    row = connection.execute(select(segments).where(segments.c.key == key)).one_or_none()
    if row is None:
        raise UnknownSegment(f"there is no segment {key!r}; `canary segment list` shows them", field="segment")
    return _segment(row)


def every(connection: Connection) -> list[Segment]:
    """All segments, by key."""
    return [_segment(row) for row in connection.execute(select(segments).order_by(segments.c.key))]


def add(connection: Connection, segment: Segment) -> None:
    """A new segment.

    Raises:
        AlreadyExists: the key is taken.
    """
    try:
        connection.execute(insert(segments).values(**plain(segment), created_ms=segment.created_ms))
    except IntegrityError:
        raise AlreadyExists(f"a segment {segment.key!r} exists already", field="key") from None


def change(connection: Connection, before: Segment, after: Segment) -> None:
    """Replace a segment, on condition that it is still as it was read.

    Raises:
        ChangedMeanwhile: it is not.
    """
    statement = update(segments).where(segments.c.key == before.key, segments.c.version == before.version)
    if connection.execute(statement.values(**plain(after))).rowcount != 1:
        raise ChangedMeanwhile(f"segment {before.key!r} is no longer at version {before.version}", field="version")


def remove(connection: Connection, segment: Segment) -> None:
    """Remove a segment, on condition that it is still as it was read.

    Raises:
        ChangedMeanwhile: it is not.
    """
    statement = delete(segments).where(segments.c.key == segment.key, segments.c.version == segment.version)
    if connection.execute(statement).rowcount != 1:
        raise ChangedMeanwhile(f"segment {segment.key!r} is no longer at version {segment.version}", field="version")


def plain(segment: Segment) -> dict[str, Any]:
    """The segment as an audit entry shows it."""
    return {
        "key": segment.key,
        "condition": plain_condition(segment.when),
        "description": segment.description,
        "version": segment.version,
        "updated_ms": segment.updated_ms,
    }


def _segment(row: Row[Any]) -> Segment:
    return Segment(
        key=row.key,
        when=read_condition(row.condition),
        description=row.description,
        version=row.version,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
    )
