"""Rows and reports that say only what a test is about."""

from dataclasses import replace
from typing import Any

from sqlalchemy import insert, select

from controller.domain.instances import Instance, InstanceArm
from controller.domain.samples import SampleKey
from controller.domain.tallies import Counts, EvidenceKey, Proof, Tally
from controller.domain.windows import WindowKey
from controller.storage import evidence as evidence_rows
from controller.storage import groups
from controller.storage import windows as window_rows
from controller.storage.batches import Batch
from controller.storage.database import Database
from controller.storage.outcomes import Outcome
from controller.storage.tables import metadata, rollouts
from controller.storage.tables import outcomes as outcome_rows

NOW_MS = 1_760_000_000_000
FLAG = "unified-websocket-emitter"


def a_batch(batch: str = "batch-01", instance: str = "one", seq: int = 1, at_ms: int = NOW_MS, **parts: Any) -> Batch:
    """A report; the fields of Instance can be given as well."""
    known = {name: parts.pop(name) for name in list(parts) if name in Instance.__dataclass_fields__}
    return Batch(batch, Instance(instance, at_ms, seq=seq, first_seen_ms=at_ms, **known), **parts)


def a_full_batch(number: int, instance: str = "one", outcomes: int = 3) -> Batch:
    """A report with something for every table but the gauges."""
    outcome = an_outcome(instance=instance)
    return a_batch(
        f"batch-{number:04}",
        instance,
        number,
        windows=windows(delivered=outcomes),
        evidence=evidence(total=1000 * outcomes),
        users=users(f"{number:012x}"),
        outcomes=tuple(replace_id(outcome, f"{number}-{at}") for at in range(outcomes)),
    )


def counted(database: Database, variant: str = "unified") -> Counts:
    """The sum of a variant's windows."""
    with database.read() as connection:
        found = window_rows.health(connection, FLAG, 0)
    total = Counts()
    for (name, _), counts in found.items():
        total = total.plus(counts) if name == variant else total
    return total


def stored_outcomes(database: Database, flag_key: str = FLAG) -> list[Outcome]:
    """The outcomes of a flag, the newest first."""
    columns = [outcome_rows.c[name] for name in Outcome._fields]
    newest = select(*columns).where(outcome_rows.c.flag_key == flag_key).order_by(outcome_rows.c.at_ms.desc())
    with database.read() as connection:
        return [Outcome(*row) for row in connection.execute(newest)]


def an_outcome(**fields: Any) -> Outcome:
    said: dict[str, Any] = {
        "flag_key": FLAG,
        "variant": "unified",
        "event_type": "agent_started",
        "outcome": "delivered",
        "at_ms": NOW_MS,
        "instance": "one",
    }
    return Outcome(**{**said, **fields})


def replace_id(outcome: Outcome, event_id: str) -> Outcome:
    return outcome._replace(event_id=event_id)


def windows(
    variant: str = "unified", event: str = "agent_started", starts_ms: int = NOW_MS, **counts: int
) -> dict[WindowKey, Counts]:
    return {WindowKey(FLAG, variant, event, starts_ms): Counts(**counts)}


def evidence(
    failed: int = 0, total: int = 1000, *, users: tuple[str, ...] = (), stream: str = "a", **key: Any
) -> dict[EvidenceKey, Proof]:
    """Milli-units of one stream, of the canary in the first epoch of the rollout `r` unless told otherwise."""
    named = EvidenceKey(**{"rollout": "r", "epoch": 1, "arm": "canary", "stream": stream, **key})
    return {named: Proof(Tally(failed, total), users)}


def users(*tags: str, **key: Any) -> dict[SampleKey, tuple[str, ...]]:
    """Users seen for the first time, on the canary in the first epoch of the rollout `r` unless told otherwise."""
    return {SampleKey(**{"rollout": "r", "epoch": 1, "arm": "canary", **key}): tags}


def an_arm(instance: str = "one", variant: str = "unified", **gauges: Any) -> InstanceArm:
    return InstanceArm(instance, FLAG, variant, **gauges)


def closing(batch: Batch) -> Batch:
    """The same report as the instance's goodbye."""
    return replace(batch, instance=replace(batch.instance, closed_ms=batch.received_ms))


def add_rollout(database: Database, key: str = "r", phase: str = "progressing", flag: str = "") -> None:
    numbers = dict.fromkeys(("stage", "weight", "epoch", "version", "created_ms"), 1)
    row = {"key": key, "flag_key": flag or f"flag-of-{key}", "manifest": {}, "phase": phase, **numbers}
    with database.write() as connection:
        connection.execute(insert(rollouts).values(**row))


def write(database: Database, *group: Batch) -> groups.Written:
    """Write reports as one group."""
    with database.write() as connection:
        return groups.write(connection, group)


def units_open(database: Database, since_ms: int = 0) -> dict[tuple[str, str], int]:
    """The gauges of the rollout `r`, by arm and stream."""
    with database.read() as connection:
        return evidence_rows.open_units(connection, ["r"], since_ms).get("r", {})


def drained(database: Database, rollout: str = "r") -> dict[tuple[str, int, str, str], Tally]:
    """What waited, by instance, epoch, arm and stream."""
    with database.write() as connection:
        rows = evidence_rows.drain(connection, [rollout]).get(rollout, [])
    return {(row.instance, row.epoch, row.arm, row.stream): Tally(row.failed, row.total) for row in rows}


def count(database: Database, table: str) -> int:
    """How many rows a table has."""
    with database.read() as connection:
        return len(connection.execute(select(metadata.tables[table])).all())
