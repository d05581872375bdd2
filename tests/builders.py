"""Builders that hide what a test does not want to talk about."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert

from controller.domain.flags import Flag
from controller.domain.leases import Lease
from controller.domain.rollouts import Rollout
from controller.domain.tallies import EvidenceKey, Tally
from controller.storage import evidence, leases, rollouts
from controller.storage.database import Database
from controller.storage.tables import instances as instance_table
from controller.usecases import flags as flag_commands
from controller.usecases import rollouts as commands
from controller.usecases.rollouts import Order
from controller.wire.manifests import Manifest, manifest_of

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
    return commands.start(database, draft.key, order(now_ms))[0]


def a_lease(database: Database, holder: str = "one", now_ms: int = T0) -> Lease:
    """The leader lease, newly taken."""
    with database.write() as connection:
        found = leases.acquire(connection, holder, leases.now(connection, now_ms))
    assert found is not None
    return found


def report(database: Database, rollout: Rollout, *, failed: int = 0, delivered: int = 0, arm: str = "canary") -> None:
    """Evidence of so many units, each with all five event types."""
    tally = Tally(1000 * failed, 1000 * (failed + delivered))
    found = {EvidenceKey(rollout.key, rollout.epoch, arm, name): tally for name in EVENTS}
    with database.write() as connection:
        evidence.append(connection, found)


def an_instance(database: Database, instance_id: str, now_ms: int = T0, **columns: Any) -> None:
    """A client process that has reported."""
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


def read(database: Database, key: str = ROLLOUT) -> Rollout:
    """The rollout as it is stored."""
    with database.read() as connection:
        return rollouts.get(connection, key)
