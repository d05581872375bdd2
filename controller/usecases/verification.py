"""A rollback is verified, not assumed: every live instance confirms it, and the stragglers are named."""

from __future__ import annotations

import msgspec

from controller.domain import rollouts as life
from controller.domain.changes import Change, Decision
from controller.domain.instances import Verification, verify
from controller.domain.leases import Lease
from controller.domain.rollouts import Action, Phase
from controller.storage import instances, leases, record, rollouts, rounds
from controller.storage.database import Database


def check_rollback(database: Database, key: str, lease: Lease, now_ms: int) -> Verification | None:
    """See how far a rollback has got, and close it when every live instance has confirmed; None when none is under way.

    Raises:
        StaleTerm: somebody else evaluates by now; nothing was written.
    """
    with database.write() as connection:
        leases.check(connection, lease.holder, lease.term)
        rollout = rollouts.get(connection, key)
        if rollout.phase is not Phase.ROLLING_BACK or rollout.revision is None:
            return None
        found = verify(
            rollout.revision,
            instances.every(connection),
            instances.arms(connection, rollout.flag_key, rollout.canary),
            now_ms,
            rollout.plan.lease_ms,
        )
        rollouts.keep_verification(connection, key, found)
        if found.complete:
            after = life.after(rollout, Action.VERIFY, now_ms)
            decision = Decision(key, Action.VERIFY, f"rollback {found.sentence}")
            change = Change(
                "judge",
                "rollout.verified",
                found.sentence,
                now_ms,
                after,
                rollout,
                decision=decision,
                term=lease.term,
                holder=lease.holder,
            )
            record.apply(connection, change)
            rounds.note_verified(connection, after, msgspec.to_builtins(found))
    return found
