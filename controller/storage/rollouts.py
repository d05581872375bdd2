"""Rollouts as rows; the plan is kept as the manifest that people write."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from controller.domain.errors import AlreadyExists, ChangedMeanwhile, SecondLiveRollout, UnknownRollout
from controller.domain.instances import Verification
from controller.domain.plans import Plan
from controller.domain.rollouts import UNFINISHED, Phase, Rollout
from controller.domain.tallies import Tally
from controller.storage.tables import rollouts
from controller.wire.manifests import Manifest, manifest_from_plan, plan_of, stored_manifest

_PLAIN = (
    "key",
    "flag_key",
    "stage",
    "weight",
    "epoch",
    "version",
    "round",
    "floor_ppm",
    "constants",
    "started_by",
    "approval_asked_ms",
    "approved",
    "created_ms",
    "started_ms",
    "stage_started_ms",
    "paused_ms",
    "detected_ms",
    "decided_ms",
    "verified_ms",
    "ended_ms",
    "cool_until_ms",
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


def read_at(connection: Connection, key: str, version: int | None) -> Rollout:
    """One rollout, at the version that a command was given for (None: whatever it is now).

    Raises:
        UnknownRollout, ChangedMeanwhile.
    """
    rollout = get(connection, key)
    if version is not None and version != rollout.version:
        raise ChangedMeanwhile(f"rollout {key!r} is at version {rollout.version}, not {version}", field="version")
    return rollout


def every(connection: Connection) -> list[Rollout]:
    """All rollouts, the newest first."""
    statement = select(rollouts).order_by(rollouts.c.created_ms.desc(), rollouts.c.key)
    return [_rollout(row) for row in connection.execute(statement)]


def unfinished(connection: Connection) -> list[Rollout]:
    """Rollouts that are measuring, live or rolling back."""
    statement = select(rollouts).where(rollouts.c.phase.in_([phase.value for phase in UNFINISHED]))
    return [_rollout(row) for row in connection.execute(statement.order_by(rollouts.c.key))]


def some(connection: Connection, keys: Collection[str]) -> dict[str, Rollout]:
    """Those of these rollouts that there are."""
    found = connection.execute(select(rollouts).where(rollouts.c.key.in_(sorted(keys))))
    return {row.key: _rollout(row) for row in found}


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
    values = _values(after)
    if (before.plan, before.control, before.canary) == (after.plan, after.control, after.canary):
        del values["manifest"]  # a newer release may have written more into it than is known here
    try:
        changed = connection.execute(statement.values(**values)).rowcount
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


def verifications(connection: Connection, keys: Collection[str]) -> dict[str, Verification]:
    """How far some rollbacks had got when last looked at; rollouts without one are left out."""
    columns = (rollouts.c.key, rollouts.c.verification)
    rows = connection.execute(select(*columns).where(rollouts.c.key.in_(sorted(keys))))
    return {row.key: msgspec.convert(row.verification, Verification) for row in rows if row.verification is not None}


def measured(connection: Connection, key: str) -> dict[str, Tally]:
    """What was counted of the control while measuring, in milli-units by stream."""
    body = connection.execute(select(rollouts.c.measured).where(rollouts.c.key == key)).scalar_one_or_none()
    return {stream: Tally(*tally) for stream, tally in (body or {}).items()}


def keep_measured(connection: Connection, key: str, tallies: Mapping[str, Tally] | None) -> None:
    """Replace what was counted of the control while measuring."""
    body = None if tallies is None else {stream: list(tally) for stream, tally in sorted(tallies.items())}
    connection.execute(update(rollouts).where(rollouts.c.key == key).values(measured=body))


def keep_versions(connection: Connection, key: str, versions: Collection[str]) -> None:
    """Remember the application versions of a round, without a new version of the rollout: nothing else changes."""
    connection.execute(update(rollouts).where(rollouts.c.key == key).values(versions=sorted(versions)))


def forget_verification(connection: Connection, key: str) -> None:
    """A rollout that is armed again has no rollback to verify."""
    connection.execute(update(rollouts).where(rollouts.c.key == key).values(verification=None))


def manifest(rollout: Rollout) -> Manifest:
    """The document that stands for a rollout's plan."""
    return manifest_from_plan(rollout.key, rollout.flag_key, rollout.control, rollout.canary, rollout.plan)


def plain(rollout: Rollout) -> dict[str, Any]:
    """The rollout as an audit entry shows it."""
    values = {key: value for key, value in _values(rollout).items() if key not in {"constants", "manifest"}}
    return {**values, "stages": [str(stage) for stage in rollout.plan.stages]}


def _values(rollout: Rollout) -> dict[str, Any]:
    values = {name: getattr(rollout, name) for name in _PLAIN}
    document = msgspec.to_builtins(manifest(rollout))
    return {**values, "phase": rollout.phase.value, "versions": list(rollout.versions), "manifest": document}


def _rollout(row: Row[Any]) -> Rollout:
    control, canary, plan, unknown = _read(json.dumps(row.manifest, sort_keys=True))
    values = {name: getattr(row, name) for name in _PLAIN}
    return Rollout(
        **values,
        phase=Phase(row.phase),
        versions=tuple(row.versions or ()),
        plan=plan,
        control=control,
        canary=canary,
        unknown=unknown,
    )


@lru_cache(maxsize=2_048)
def _read(document: str) -> tuple[str, str, Plan, tuple[str, ...]]:
    """Control, canary, plan and what is not known of a manifest; kept, since every tick reads the same ones."""
    manifest, unknown = stored_manifest(json.loads(document))
    return manifest.control, manifest.canary, plan_of(manifest), unknown
