"""What release engineers do with segments."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from controller.domain.changes import Change
from controller.domain.conditions import Condition
from controller.domain.errors import ChangedMeanwhile, Conflict
from controller.domain.rollouts import retargeted
from controller.domain.scopes import EVERYWHERE, Scope
from controller.domain.segments import Segment
from controller.storage import flags, record, rollouts, segments, snapshots
from controller.storage.database import Database


def create(database: Database, segment: Segment, *, actor: str, reason: str = "", request_id: str = "") -> Segment:
    """A new segment.

    Raises:
        AlreadyExists: the key is taken.
    """
    change = Change(actor, "segment.created", reason, segment.created_ms, segment=segment)
    with database.write() as connection:
        record.apply(connection, change, request_id)
    return segment


def change(  # noqa: PLR0913 - a command names all it may change
    database: Database,
    key: str,
    version: int,
    *,
    actor: str,
    now_ms: int,
    reason: str = "",
    when: Condition | None = None,
    description: str | None = None,
    request_id: str = "",
    scope: Scope = EVERYWHERE,
) -> Segment:
    """Change a segment at the version it was read at; None leaves a field as it is.

    A new condition begins a new evidence epoch of every live rollout whose flag names the segment.

    Raises:
        UnknownSegment, ChangedMeanwhile; Invalid: the condition does not fit. OutOfScope: a flag that names it is
        outside.
    """
    with database.write() as connection:
        snapshots.hold(connection)
        before = _read(connection, key, version)
        for flag in _users(connection, key):
            scope.check(flag)
        after = replace(
            before,
            when=before.when if when is None else when,
            description=before.description if description is None else description,
            version=version + 1,
            updated_ms=now_ms,
        )
        if after.when != before.when:
            _begin_epochs(connection, key, actor, now_ms)
        made = Change(actor, "segment.changed", reason, now_ms, segment=after, segment_before=before)
        record.apply(connection, made, request_id)
    return after


def remove(  # noqa: PLR0913 - who, why and what
    database: Database, key: str, version: int, *, actor: str, now_ms: int, reason: str = "", request_id: str = ""
) -> None:
    """Remove a segment that no flag names.

    Raises:
        UnknownSegment, ChangedMeanwhile; Conflict: a flag names it.
    """
    with database.write() as connection:
        snapshots.hold(connection)
        before = _read(connection, key, version)
        users = _users(connection, key)
        if users:
            raise Conflict(f"flag {users[0]!r} names it; change its targeting first", field="segment")
        record.apply(connection, Change(actor, "segment.removed", reason, now_ms, segment_before=before), request_id)


def _read(connection: Connection, key: str, version: int) -> Segment:
    found = segments.get(connection, key)
    if found.version != version:
        raise ChangedMeanwhile(f"segment {key!r} is at version {found.version}, not {version}", field="version")
    return found


def _users(connection: Connection, key: str) -> list[str]:
    return [flag.key for flag in flags.every(connection) if key in flag.targeting.segments]


def _begin_epochs(connection: Connection, key: str, actor: str, now_ms: int) -> None:
    users = set(_users(connection, key))
    for rollout in rollouts.unfinished(connection):
        if rollout.flag_key in users and rollout.phase.live:
            why = f"segment {key} of the flag's targeting was changed"
            after = retargeted(rollout)
            record.apply(connection, Change(actor, "rollout.retargeted", why, now_ms, after, rollout))
