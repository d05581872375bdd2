"""What release engineers do with flags."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from controller.domain.changes import Change
from controller.domain.errors import ChangedMeanwhile, Conflict, Invalid
from controller.domain.flags import Flag
from controller.domain.rollouts import Rollout, retargeted
from controller.domain.scopes import EVERYWHERE, Scope
from controller.domain.targeting import Targeting
from controller.storage import flags, record, rollouts, segments, snapshots
from controller.storage.database import Database


@dataclass(frozen=True, slots=True)
class FlagChange:
    """What is to change of a flag; None leaves a field as it is."""

    enabled: bool | None = None
    served: str | None = None
    description: str | None = None
    targeting: Targeting | None = None

    def applied_to(self, flag: Flag, now_ms: int) -> Flag:
        """The flag after it, with the next version; raises Invalid where it does not fit together."""
        return replace(
            flag,
            enabled=flag.enabled if self.enabled is None else self.enabled,
            served=flag.served if self.served is None else self.served,
            description=flag.description if self.description is None else self.description,
            targeting=flag.targeting if self.targeting is None else self.targeting,
            version=flag.version + 1,
            updated_ms=now_ms,
        )


def create(
    database: Database,
    flag: Flag,
    *,
    actor: str,
    reason: str = "",
    request_id: str = "",
    scope: Scope = EVERYWHERE,
) -> Flag:
    """A new flag.

    Raises:
        AlreadyExists: the key is taken. Invalid: its rules name a segment that does not exist. OutOfScope.
    """
    scope.check(flag.key)
    with database.write() as connection:
        _check_segments(connection, flag.targeting)
        record.apply(connection, Change(actor, "flag.created", reason, flag.created_ms, flag=flag), request_id)
    return flag


def change(  # noqa: PLR0913 - who, why, when and what
    database: Database,
    key: str,
    version: int,
    wanted: FlagChange,
    *,
    actor: str,
    now_ms: int,
    reason: str = "",
    request_id: str = "",
    scope: Scope = EVERYWHERE,
) -> Flag:
    """Change a flag at the version it was read at.

    The kill switch works at any time. What is served to everybody cannot be changed while a rollout is live. New
    targeting begins a new evidence epoch of a live rollout, since its users are others from then on.

    Raises:
        UnknownFlag, ChangedMeanwhile, OutOfScope; Conflict: a rollout of the flag is live; Invalid: no such variant or
        segment.
    """
    scope.check(key)
    with database.write() as connection:
        before = flags.get(connection, key)
        if before.version != version:
            raise ChangedMeanwhile(f"flag {key!r} is at version {before.version}, not {version}", field="version")
        after = wanted.applied_to(before, now_ms)
        live = next((r for r in rollouts.unfinished(connection) if r.flag_key == key), None)
        if after.served != before.served and live is not None:
            raise Conflict(f"rollout {live.key!r} of this flag is live; end it first", field="served")
        moved = after.targeting != before.targeting
        if moved:
            _check_segments(connection, after.targeting)
        if moved and live is not None and live.phase.live:
            record.apply(connection, _new_epoch(live, actor, now_ms), request_id)
        made = Change(actor, _name(before, after), reason, now_ms, flag=after, flag_before=before)
        record.apply(connection, made, request_id)
    return after


def _new_epoch(rollout: Rollout, actor: str, now_ms: int) -> Change:
    after = retargeted(rollout)
    return Change(actor, "rollout.retargeted", "the flag's targeting was changed", now_ms, after, rollout)


def _check_segments(connection: Connection, targeting: Targeting) -> None:
    """Segments are looked at and kept from being removed until this transaction ends."""
    if not targeting.segments:
        return
    snapshots.hold(connection)
    missing = sorted(targeting.segments - {segment.key for segment in segments.every(connection)})
    if missing:
        raise Invalid(f"there is no segment {missing[0]!r}; `canary segment list` shows them", field="targeting.rules")


def _name(before: Flag, after: Flag) -> str:
    if after.enabled != before.enabled:
        return "flag.enabled" if after.enabled else "flag.killed"
    return "flag.changed" if after.targeting == before.targeting else "flag.retargeted"
