"""Instances as rows: the clients that serve users, by what their newest report said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, case, func, or_, select

from controller.domain.instances import Contact, Instance, InstanceArm
from controller.storage import upserts
from controller.storage.batches import Batch
from controller.storage.tables import instance_arms, instances

#: What a report says of its sender; an older report leaves these alone.
_SAID = (
    "revision",
    "applied_ms",
    "closed_ms",
    "app_version",
    "region",
    "sdk",
    "dropped",
    "unadmitted",
    "unproved",
    "attempted",
    "delivered",
    "failed",
    "abandoned",
    "interrupted",
    "pending",
    "trips",
)
#: Older than every report.
_NO_SEQ = -1

_NAMES = tuple(field.name for field in fields(Instance))
_ARM_NAMES = tuple(field.name for field in fields(InstanceArm))
_INSTANCE = [instances.c[name] for name in _NAMES]
_ARM = [instance_arms.c[name] for name in _ARM_NAMES]


def every(connection: Connection) -> list[Instance]:
    """All instances that are known, the gone ones included, by id."""
    return [_instance(row) for row in connection.execute(select(*_INSTANCE).order_by(instances.c.id))]


def live_instances(connection: Connection, contact_since_ms: int) -> list[Instance]:
    """Instances heard of since a time that have not said goodbye, by id."""
    statement = select(*_INSTANCE).where(
        instances.c.last_contact_ms >= contact_since_ms, instances.c.closed_ms.is_(None)
    )
    return [_instance(row) for row in connection.execute(statement.order_by(instances.c.id))]


def count_live(connection: Connection, contact_since_ms: int) -> int:
    """How many instances were heard of since a time and have not said goodbye."""
    alive = (instances.c.last_contact_ms >= contact_since_ms, instances.c.closed_ms.is_(None))
    return int(connection.execute(select(func.count()).select_from(instances).where(*alive)).scalar_one())


def arms(connection: Connection, flag_key: str, variant: str) -> list[InstanceArm]:
    """What each instance last said of one variant of a flag, by instance."""
    statement = select(*_ARM).where(instance_arms.c.flag_key == flag_key, instance_arms.c.variant == variant)
    return [_arm(row) for row in connection.execute(statement.order_by(instance_arms.c.instance))]


def serving(connection: Connection, flag_keys: Collection[str]) -> dict[str, set[str]]:
    """The instances that have ever said that they serve a flag, by flag."""
    statement = select(instance_arms.c.flag_key, instance_arms.c.instance).distinct()
    found: dict[str, set[str]] = {}
    for flag_key, instance in connection.execute(statement.where(instance_arms.c.flag_key.in_(sorted(flag_keys)))):
        found.setdefault(flag_key, set()).add(instance)
    return found


def of_flag(connection: Connection, flag_key: str) -> list[Instance]:
    """The instances that serve a flag."""
    mine = serving(connection, [flag_key]).get(flag_key, set())
    return [one for one in every(connection) if one.id in mine]


def busy_arms(connection: Connection) -> dict[str, list[InstanceArm]]:
    """The arms with open runs, or with exposures since their instance applied its revision, by instance."""
    busy = or_(instance_arms.c.open_runs > 0, instance_arms.c.since_applied > 0)
    found: dict[str, list[InstanceArm]] = {}
    for row in connection.execute(select(*_ARM).where(busy)):
        found.setdefault(row.instance, []).append(_arm(row))
    return found


def update_from(connection: Connection, fresh: Sequence[Batch], repeats: Sequence[Batch] = ()) -> list[Batch]:
    """Bring instances up to date; returns the reports whose gauges count, oldest first: those that are not late.

    Contact always moves forward, with a repeat as well. What a report says counts unless a newer one was stored,
    here or by another process: the row settles that. Rows are written in sorted order, so that two processes never
    wait for each other in a circle.
    """
    if not fresh and not repeats:
        return []
    before = _held(connection, {batch.instance.id for batch in (*fresh, *repeats)})
    timely = [batch for batch in fresh if batch.instance.seq >= before.get(batch.instance.id, _NO_SEQ)]
    timely.sort(key=lambda batch: batch.instance.seq)
    newest = {batch.instance.id: batch.instance for batch in timely}
    rows = _rows(newest, fresh, repeats)
    connection.execute(_upsert(connection.dialect.name), rows)
    # An instance that was new may just have been stored by another process as well, and with a newer report.
    stored = _held(connection, newest.keys() - before.keys())
    return [batch for batch in timely if stored.get(batch.instance.id, _NO_SEQ) <= newest[batch.instance.id].seq]


def replace_arms(connection: Connection, timely: Iterable[Batch]) -> None:
    """Replace the gauges that these reports (oldest first) name; clients name what has changed, so the rest stays."""
    arms = {(arm.flag_key, arm.variant, arm.instance): arm for batch in timely for arm in batch.arms}
    if not arms:
        return
    rows = [_values(arms[key], _ARM_NAMES) for key in sorted(arms)]
    connection.execute(_arms_upsert(connection.dialect.name), rows)


def keep_contacts(connection: Connection, contacts: Iterable[Contact]) -> None:
    """Instances fetched a snapshot or hold a stream; one row each, in sorted order, as `update_from` writes them.

    One that reports says itself what it has applied: fetching proves nothing, and does not reopen one that has said
    goodbye. Of one that never reports, what it fetched is all that is known.
    """
    latest = {contact.instance: contact for contact in sorted(contacts, key=lambda contact: contact.at_ms)}
    if latest:
        rows = [_contact_row(latest[key]) for key in sorted(latest)]
        connection.execute(_contact_upsert(connection.dialect.name), rows)


def _contact_row(contact: Contact) -> dict[str, Any]:
    return {
        "id": contact.instance,
        "reports": contact.reports,
        "seq": 0,
        "revision": 0 if contact.reports else contact.revision,
        "first_seen_ms": contact.at_ms,
        "last_contact_ms": contact.at_ms,
        "app_version": "",
        "region": "",
        "sdk": contact.sdk,
        "clock_offset_ms": contact.clock_offset_ms,
    }


@cache
def _contact_upsert(dialect: str) -> Executable:
    insert = upserts.insert(dialect, instances)
    fetched = upserts.larger(insert.excluded.revision, instances.c.revision)
    known: dict[str, ColumnElement[Any]] = {
        "reports": or_(instances.c.reports, insert.excluded.reports),
        "revision": case((or_(instances.c.reports, insert.excluded.reports), instances.c.revision), else_=fetched),
        "last_contact_ms": upserts.larger(insert.excluded.last_contact_ms, instances.c.last_contact_ms),
        "sdk": case((insert.excluded.sdk == "", instances.c.sdk), else_=insert.excluded.sdk),
        "clock_offset_ms": func.coalesce(insert.excluded.clock_offset_ms, instances.c.clock_offset_ms),
    }
    return insert.on_conflict_do_update(index_elements=[instances.c.id], set_=known)


def _held(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    """The newest report stored of each of these instances; no other process changes them before this one is done."""
    if not ids:
        return {}
    statement = select(instances.c.id, instances.c.seq).where(instances.c.id.in_(sorted(ids))).order_by(instances.c.id)
    return {row.id: row.seq for row in connection.execute(statement.with_for_update())}


def _rows(newest: Mapping[str, Instance], fresh: Iterable[Batch], repeats: Iterable[Batch]) -> list[dict[str, Any]]:
    """The row of each instance; where nothing is newer it has no number, so that only contact and receipts move."""
    said: dict[str, Instance] = {}
    contact_ms: dict[str, int] = {}
    received: Counter[str] = Counter()
    for batch in fresh:
        received[batch.instance.id] += sum(counts.attempts for counts in batch.windows.values())
    for batch in (*fresh, *repeats):
        key = batch.instance.id
        said[key] = newest.get(key) or replace(batch.instance, seq=_NO_SEQ)
        contact_ms[key] = max(contact_ms.get(key, 0), batch.received_ms)
    return [
        {
            **_values(said[key], _NAMES),
            "reports": True,
            "first_seen_ms": heard_ms,
            "last_contact_ms": heard_ms,
            "received": received[key],
        }
        for key, heard_ms in sorted(contact_ms.items())
    ]


@cache
def _upsert(dialect: str) -> Executable:
    insert = upserts.insert(dialect, instances)
    newer = insert.excluded.seq >= instances.c.seq
    said: dict[str, ColumnElement[Any]] = {
        name: case((newer, insert.excluded[name]), else_=instances.c[name]) for name in (*_SAID, "seq")
    }
    said["last_contact_ms"] = upserts.larger(insert.excluded.last_contact_ms, instances.c.last_contact_ms)
    said["reports"] = insert.excluded.reports
    said["received"] = instances.c.received + insert.excluded.received
    return insert.on_conflict_do_update(index_elements=[instances.c.id], set_=said)


@cache
def _arms_upsert(dialect: str) -> Executable:
    insert = upserts.insert(dialect, instance_arms)
    said: dict[str, ColumnElement[Any]] = {
        name: insert.excluded[name] for name in ("open_runs", "exposures", "since_applied")
    }
    said["last_exposure_ms"] = func.coalesce(insert.excluded.last_exposure_ms, instance_arms.c.last_exposure_ms)
    return insert.on_conflict_do_update(index_elements=list(instance_arms.primary_key), set_=said)


def _values(found: Instance | InstanceArm, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields as they are; dataclasses.asdict copies each deeply and takes ten times as long."""
    return {name: getattr(found, name) for name in names}


def _instance(row: Any) -> Instance:
    return Instance(**row._asdict())


def _arm(row: Any) -> InstanceArm:
    return InstanceArm(**row._asdict())
