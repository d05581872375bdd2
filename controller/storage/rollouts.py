"""Rollouts as rows; the plan is kept as the manifest that people write."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from controller.domain.errors import AlreadyExists, ChangedMeanwhile, SecondLiveRollout, UnknownRollout
from controller.domain.instances import Verification
from controller.domain.rollouts import Phase, Rollout
from controller.storage.tables import rollouts
from controller.wire.manifests import Manifest, manifest_from_plan, plan_of

#: Phases in which a rollout is looked at by the scheduler and takes evidence.
_OPEN = (Phase.PROGRESSING, Phase.PAUSED, Phase.ROLLING_BACK)
_PLAIN = (
    "key",
    "flag_key",
    "stage",
    "weight",
    "epoch",
    "version",
    "floor_permille",
    "constants",
    "created_ms",
    "started_ms",
    "stage_started_ms",
    "paused_ms",
    "detected_ms",
    "decided_ms",
    "verified_ms",
    "ended_ms",
    "revision",
)


def get(connection: Connection, key: str) -> Rollout:
    """One rollout.

    Raises:
        UnknownRollout: there is none with this key.
    """
    row = connection.execute(select(rollouts).where(rollouts.c.key == key)).one_or_none()
    if row is None:
        raise UnknownRollout(f"there is no rollout {key!r}; `canary rollout list` shows them", field="rollout")
    return _rollout(row)


def every(connection: Connection) -> list[Rollout]:
    """All rollouts, the newest first."""
    statement = select(rollouts).order_by(rollouts.c.created_ms.desc(), rollouts.c.key)
    return [_rollout(row) for row in connection.execute(statement)]


def unfinished(connection: Connection) -> list[Rollout]:
    """Rollouts that are live or rolling back."""
    statement = select(rollouts).where(rollouts.c.phase.in_([phase.value for phase in _OPEN]))
    return [_rollout(row) for row in connection.execute(statement.order_by(rollouts.c.key))]


def add(connection: Connection, rollout: Rollout) -> None:
    """A new rollout.

    Raises:
        AlreadyExists: the key is taken.
    """
    try:
        connection.execute(insert(rollouts).values(**_values(rollout)))
    except IntegrityError:
        raise AlreadyExists(f"a rollout {rollout.key!r} exists already", field="rollout") from None


def change(connection: Connection, before: Rollout, after: Rollout) -> None:
    """Replace a rollout, on condition that it is still as it was read.

    Raises:
        ChangedMeanwhile: it is not. SecondLiveRollout: its flag has a live one by now.
    """
    statement = update(rollouts).where(rollouts.c.key == before.key, rollouts.c.version == before.version)
    try:
        changed = connection.execute(statement.values(**_values(after))).rowcount
    except IntegrityError:
        raise SecondLiveRollout(f"flag {after.flag_key!r} has a live rollout; end it first", field="flag") from None
    if changed != 1:
        raise ChangedMeanwhile(f"rollout {before.key!r} is no longer at version {before.version}", field="version")


def published_as(connection: Connection, key: str, revision: int) -> None:
    """Remember the snapshot revision that told clients of a rollout's newest share."""
    connection.execute(update(rollouts).where(rollouts.c.key == key).values(revision=revision))


def keep_verification(connection: Connection, key: str, verification: Verification) -> None:
    """Show how far a rollback has got, without a new version: it changes nothing about the rollout."""
    body = msgspec.to_builtins(verification)
    connection.execute(update(rollouts).where(rollouts.c.key == key).values(verification=body))


def verification(connection: Connection, key: str) -> Verification | None:
    """How far the rollback had got when last looked at."""
    body = connection.execute(select(rollouts.c.verification).where(rollouts.c.key == key)).scalar_one_or_none()
    return None if body is None else msgspec.convert(body, Verification)


def manifest(rollout: Rollout) -> Manifest:
    """The document that stands for a rollout's plan."""
    return manifest_from_plan(rollout.key, rollout.flag_key, rollout.control, rollout.canary, rollout.plan)


def plain(rollout: Rollout) -> dict[str, Any]:
    """The rollout as an audit entry shows it."""
    values = {key: value for key, value in _values(rollout).items() if key not in {"constants", "manifest"}}
    return {**values, "stages": [str(stage) for stage in rollout.plan.stages]}


def _values(rollout: Rollout) -> dict[str, Any]:
    values = {name: getattr(rollout, name) for name in _PLAIN}
    return {**values, "phase": rollout.phase.value, "manifest": msgspec.to_builtins(manifest(rollout))}


def _rollout(row: Row[Any]) -> Rollout:
    document = msgspec.convert(row.manifest, Manifest)
    values = {name: getattr(row, name) for name in _PLAIN}
    return Rollout(
        **values,
        phase=Phase(row.phase),
        plan=plan_of(document),
        control=document.control,
        canary=document.canary,
    )
