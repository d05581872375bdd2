"""Builders that hide what a test does not want to talk about."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert

from controller.domain.flags import Flag
from controller.domain.leases import Lease
from controller.domain.orders import Order
from controller.domain.rollouts import Rollout
from controller.domain.snapshots import Snapshot
from controller.domain.tallies import Counts, EvidenceKey, Proof, Tally
from controller.domain.windows import WindowKey
from controller.storage import alerts, evidence, history, leases, rollouts, snapshots, windows
from controller.storage.database import Database
from controller.storage.tables import instance_arms
from controller.storage.tables import instances as instance_table
from controller.usecases import flags as flag_commands
from controller.usecases import rollouts as commands
from controller.usecases import starting
from controller.usecases.evaluation import Evaluated, evaluate
from controller.wire.manifests import Manifest, manifest_of
from controller.wire.snapshots import from_wire

FLAG = "unified-websocket-emitter"
ROLLOUT = "unified-emitter"
EVENTS = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed")
T0 = 1_700_000_000_000


def manifest_document(**changes: Any) -> dict[str, Any]:
    """A rollout in three short stages, with what the test wants changed, as people write it."""
    document: dict[str, Any] = {
        "rollout": ROLLOUT,
        "flag": FLAG,
        "control": "legacy",
        "canary": "unified",
        "stages": [
            {"share": "10%", "bake": "10s"},
            {"share": "50%", "bake": "10s"},
            {"share": "100%", "bake": "10s"},
        ],
        "promotion_margin": "5%",
    }
    return {**document, **changes}


def manifest(**changes: Any) -> Manifest:
    """The same, read."""
    return manifest_of(manifest_document(**changes))


def a_flag(database: Database, key: str = FLAG, now_ms: int = T0) -> Flag:
    """A flag with the variants legacy and unified."""
    flag = Flag(key, {"legacy": False, "unified": True}, "legacy", "legacy", created_ms=now_ms, updated_ms=now_ms)
    return flag_commands.create(database, flag, actor="ann")


def order(now_ms: int = T0, **changes: Any) -> Order:
    """An operator's order."""
    return Order(**{"actor": "ann", "now_ms": now_ms, **changes})


def a_draft(database: Database, now_ms: int = T0, **changes: Any) -> Rollout:
    """A draft and its flag."""
    a_flag(database, changes.get("flag", FLAG), now_ms)
    return commands.apply(database, manifest(**changes), order(now_ms))


def a_live_rollout(database: Database, now_ms: int = T0, **changes: Any) -> Rollout:
    """A rollout in its first stage."""
    draft = a_draft(database, now_ms, **changes)
    return starting.start(database, draft.key, order(now_ms))[0]


def a_second_rollout(database: Database, key: str, now_ms: int = T0, **changes: Any) -> Rollout:
    """Another live rollout, of a flag of its own."""
    return a_live_rollout(database, now_ms, rollout=key, flag=f"flag-of-{key}", allow_overlap=True, **changes)


def a_lease(database: Database, holder: str = "one", now_ms: int = T0) -> Lease:
    """The leader lease, newly taken."""
    with database.write() as connection:
        found = leases.acquire(connection, holder, leases.now(connection, now_ms))
    assert found is not None
    return found


def report(
    database: Database,
    rollout: Rollout,
    *,
    failed: int = 0,
    delivered: int = 0,
    arm: str = "canary",
    instance: str = "",
    streams: tuple[str, ...] = EVENTS,
    users: tuple[str, ...] | None = None,
) -> None:
    """Evidence of so many units, each with all five event types and a user of its own."""
    tally = Tally(1000 * failed, 1000 * (failed + delivered))
    named = tuple(f"{at:08x}" for at in range(min(3, failed))) if users is None else users
    found = {(EvidenceKey(rollout.key, rollout.epoch, arm, name), instance): Proof(tally, named) for name in streams}
    with database.write() as connection:
        evidence.append(connection, found)


def control_delivered(database: Database, delivered: int, failed: int = 0, at_ms: int = T0 - 60_000) -> None:
    """What became of the events on the control, as people's windows have it."""
    key = WindowKey(FLAG, "legacy", "agent_started", at_ms)
    with database.write() as connection:
        windows.add(connection, {key: Counts(delivered + failed, delivered, failed)})


def an_instance(database: Database, instance_id: str, now_ms: int = T0, flag: str = FLAG, **columns: Any) -> None:
    """A client process that has reported, and serves a flag."""
    values = {
        "id": instance_id,
        "reports": True,
        "seq": 1,
        "revision": 0,
        "applied_ms": None,
        "first_seen_ms": now_ms,
        "last_contact_ms": now_ms,
        "closed_ms": None,
        "app_version": "1",
        "region": "",
        "sdk": "",
    }
    with database.write() as connection:
        connection.execute(insert(instance_table).values(**{**values, **columns}))
        arm = {"flag_key": flag, "variant": "legacy", "instance": instance_id}
        connection.execute(insert(instance_arms).values(**arm, open_runs=0, exposures=1, since_applied=0))


def read(database: Database, key: str = ROLLOUT) -> Rollout:
    """The rollout as it is stored."""
    with database.read() as connection:
        return rollouts.get(connection, key)


def judged(database: Database, lease: Lease, now_ms: int, key: str = ROLLOUT) -> Evaluated:
    """What the judge makes of a rollout now."""
    [found] = evaluate(database, [key], lease, now_ms)
    return found


def open_alerts(database: Database, key: str = ROLLOUT) -> dict[str, str]:
    """The messages of the open alerts of a rollout, by name."""
    with database.read() as connection:
        found = alerts.open_alerts(connection, [key]).get(key, {})
    return {name: one.message for name, one in found.items()}


def published(database: Database) -> Snapshot:
    """What clients are told."""
    with database.read() as connection:
        found = snapshots.latest(connection)
    assert found is not None
    return from_wire(found.body)


def last_decision(database: Database, key: str = ROLLOUT) -> dict[str, Any]:
    """The newest act on a rollout, as a plain row."""
    with database.read() as connection:
        return history.newest_decisions(connection, key, 1)[0]
