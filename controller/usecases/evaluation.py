"""The judge's transaction: close a slot, judge it, decide, and record, all together or not at all."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection

from controller.domain import rollouts as life
from controller.domain.changes import Change, Decision
from controller.domain.decisions import Circumstances, decide
from controller.domain.explain import arithmetic, explain
from controller.domain.flags import serving
from controller.domain.instances import behind
from controller.domain.judge.constants import Constants, from_canonical
from controller.domain.judge.findings import Analysis, Verdict
from controller.domain.judge.judge import judge
from controller.domain.leases import Lease
from controller.domain.ledger import Slot, has_concurrent_control, ledger_rows
from controller.domain.outcomes import Arm
from controller.domain.rollouts import Action, Rollout
from controller.storage import evidence, flags, instances, leases, ledger, record, rollouts
from controller.storage.database import Database

#: Who the audit trail names.
JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation came to."""

    rollout: str
    verdict: Verdict
    action: Action
    message: str


def evaluate(database: Database, key: str, lease: Lease, now_ms: int) -> Evaluated | None:
    """Evaluate one live rollout under a leader lease; None when it is not live any more.

    Raises:
        StaleTerm: somebody else evaluates by now; nothing was written.
    """
    with database.write() as connection:
        leases.check(connection, lease.holder, lease.term)
        rollout = rollouts.get(connection, key)
        if not rollout.phase.live or rollout.constants is None:
            return None
        constants = from_canonical(rollout.constants)
        before = ledger.state(connection, key)
        slot = _close_slot(connection, rollout, before.seq + 1, now_ms)
        concurrent = has_concurrent_control(rollout.weight)
        after, analysis = judge(constants, before, slot, concurrent_control=concurrent)
        seen = _circumstances(connection, rollout, now_ms)
        action = decide(analysis.verdict, seen)
        message = explain(constants, analysis, seen, action)
        ledger.append(connection, key, slot)
        ledger.keep_state(connection, key, after)
        ledger.keep_analysis(
            connection,
            key,
            slot,
            analysis,
            stage=rollout.stage,
            weight=rollout.weight,
            circumstances={**asdict(seen), "concurrent_control": concurrent},
            action=action.value,
            message=message,
            state_digest=after.digest(),
            constants_digest=constants.digest(),
        )
        if action is not Action.HOLD:
            _act(connection, rollout, action, (constants, analysis, message), lease, now_ms)
    return Evaluated(key, analysis.verdict, action, message)


def _close_slot(connection: Connection, rollout: Rollout, seq: int, now_ms: int) -> Slot:
    tallies = evidence.drain(connection, rollout.key)
    still_open = evidence.open_units(connection, rollout.key, Arm.CANARY, now_ms - rollout.plan.lease_ms)
    return Slot(seq, now_ms, rollout.epoch, ledger_rows(tallies, rollout.plan.unit), still_open)


def _circumstances(connection: Connection, rollout: Rollout, now_ms: int) -> Circumstances:
    return Circumstances(
        phase=rollout.phase,
        baked=rollout.baked(now_ms),
        last_stage=rollout.on_last_stage,
        on_fail=rollout.plan.guard.action,
        instances_behind=behind(instances.every(connection), rollout.revision or 0, now_ms, rollout.plan.lease_ms),
    )


def _act(
    connection: Connection,
    rollout: Rollout,
    action: Action,
    why: tuple[Constants, Analysis, str],
    lease: Lease,
    now_ms: int,
) -> None:
    constants, analysis, message = why
    after = life.after(rollout, action, now_ms)
    if action is Action.ROLLBACK:
        after = replace(after, detected_ms=now_ms)
    numbers = arithmetic(constants, analysis.findings[0]) if analysis.findings else {}
    change = Change(
        JUDGE,
        f"rollout.{action.value}",
        message,
        now_ms,
        after,
        rollout,
        decision=Decision(rollout.key, action, message, analysis.seq, numbers),
        term=lease.term,
        holder=lease.holder,
    )
    if action is Action.PROMOTE:
        flag = flags.get(connection, rollout.flag_key)
        change = replace(change, flag=serving(flag, rollout.canary, now_ms), flag_before=flag)
    record.apply(connection, change)
