"""What release engineers do with flags."""

from __future__ import annotations

from dataclasses import replace

from controller.domain.changes import Change
from controller.domain.errors import ChangedMeanwhile, Conflict
from controller.domain.flags import Flag
from controller.storage import flags, record, rollouts
from controller.storage.database import Database


def create(database: Database, flag: Flag, *, actor: str, reason: str = "") -> Flag:
    """A new flag.

    Raises:
        AlreadyExists: the key is taken.
    """
    change = Change(actor, "flag.created", reason, flag.created_ms, flag=flag)
    with database.write() as connection:
        record.apply(connection, change)
    return flag


def change(  # noqa: PLR0913 - a command names all it may change
    database: Database,
    key: str,
    version: int,
    *,
    actor: str,
    now_ms: int,
    reason: str = "",
    enabled: bool | None = None,
    served: str | None = None,
    description: str | None = None,
) -> Flag:
    """Change a flag at the version it was read at; None leaves a field as it is.

    The kill switch works at any time. What is served to everybody cannot be changed while a rollout is live.

    Raises:
        UnknownFlag, ChangedMeanwhile; Conflict: a rollout of the flag is live; Invalid: no such variant.
    """
    with database.write() as connection:
        before = flags.get(connection, key)
        if before.version != version:
            raise ChangedMeanwhile(f"flag {key!r} is at version {before.version}, not {version}", field="version")
        live = [r.key for r in rollouts.unfinished(connection) if r.flag_key == key]
        if served is not None and served != before.served and live:
            raise Conflict(f"rollout {live[0]!r} of this flag is live; end it first", field="served")
        after = replace(
            before,
            enabled=before.enabled if enabled is None else enabled,
            served=before.served if served is None else served,
            description=before.description if description is None else description,
            version=version + 1,
            updated_ms=now_ms,
        )
        action = "flag.changed" if after.enabled == before.enabled else _toggled(after)
        record.apply(connection, Change(actor, action, reason, now_ms, flag=after, flag_before=before))
    return after


def _toggled(flag: Flag) -> str:
    return "flag.enabled" if flag.enabled else "flag.killed"
