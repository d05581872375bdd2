"""The judge's transaction: close slots, judge them, decide, and record, all together or not at all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from controller.domain import alerts as alerting
from controller.domain import rollouts as life
from controller.domain.alerts import Alert, alerts_of
from controller.domain.changes import Change, Decision
from controller.domain.closing import Arrived, Surroundings, close_slot, failing_versions
from controller.domain.decisions import Choice, circumstances_of, decide
from controller.domain.explain import arithmetic, explain
from controller.domain.flags import serving
from controller.domain.freezes import Active, held
from controller.domain.instances import Instance, behind, contradicting, lost, versions_of
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Effect, Verdict
from controller.domain.judge.judge import judge
from controller.domain.judge.state import JudgeState, state_from
from controller.domain.leases import Lease
from controller.domain.ledger import Users
from controller.domain.rollouts import Action, Phase, Rollout
from controller.storage import (
    alerts,
    constants,
    evidence,
    flags,
    freezes,
    instances,
    leases,
    ledger,
    record,
    rollouts,
    users,
)
from controller.storage.database import Database
from controller.storage.ledger import Judged, Memory

#: Who the audit trail names: the judge, or the clock where a person did not approve in time.
JUDGE, CLOCK = "judge", "clock"
#: Gauges of an instance not heard of for longer are stale: nothing is open for more than a minute.
_GAUGES_MS = 60_000
#: So many times in a row without a verdict, and a person has to look.
_MOST_ERRORS = 3


class UnknownPlan(ValueError):
    """The plan has something that this release does not know."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation of one rollout came to; `error` where it could not be judged."""

    rollout: str
    verdict: Verdict | None
    action: Action
    message: str
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """Everything that one transaction reads, for all its rollouts at once."""

    now_ms: int
    lease: Lease
    rollouts: dict[str, Rollout]
    killed: set[str]
    memories: dict[str, Memory]
    arrived: dict[str, list[Arrived]]
    open: dict[str, dict[tuple[str, str], int]]
    users: dict[str, Users]
    instances: list[Instance]
    serving: dict[str, set[str]]
    versions: dict[str, str]
    alerts: dict[str, dict[str, Alert]]
    latest: dict[str, dict[str, Any]]
    freezes: list[Active]

    def of(self, rollout: Rollout) -> list[Instance]:
        """The instances that serve its flag; a deploy of any other service is none of its business."""
        mine = self.serving.get(rollout.flag_key, set())
        return [one for one in self.instances if one.id in mine]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One rollout judged, not yet written."""

    rollout: Rollout
    frozen: Constants
    after: JudgeState
    choice: Choice
    judged: Judged


def evaluate(database: Database, keys: Collection[str], lease: Lease, now_ms: int) -> list[Evaluated]:
    """Evaluate live rollouts under a leader lease, in one transaction; those not live any more are left out.

    A rollout that cannot be judged costs the others nothing: its evidence waits, and after three times in a row it
    pauses.

    Raises:
        StaleTerm: somebody else evaluates by now; nothing was written.
    """
    with database.write() as connection:
        leases.check(connection, lease.holder, lease.term)
        read = _read(connection, keys, lease, now_ms)
        found: list[_Outcome] = []
        done: list[Evaluated] = []
        for rollout in read.rollouts.values():
            try:
                found.append(_judge(connection, read, rollout))
            except Exception as error:  # noqa: BLE001 - an error is not a verdict, whatever it is
                done.append(_note_error(connection, read, rollout, error))
        news = [one.judged for one in found if ledger.is_news(read.latest.get(one.rollout.key), one.judged)]
        ledger.keep(connection, news)
        ledger.touch(connection, {one.rollout.key for one in found} - {one.rollout for one in news}, now_ms)
        for one in found:
            _record(connection, read, one)
            done.append(Evaluated(one.rollout.key, one.judged.analysis.verdict, one.choice.act, one.judged.message))
    return done


def _read(connection: Connection, keys: Collection[str], lease: Lease, now_ms: int) -> _Read:
    found = {key: one for key, one in rollouts.some(connection, keys).items() if one.phase.live}
    known = instances.every(connection)
    return _Read(
        now_ms=now_ms,
        lease=lease,
        rollouts=found,
        killed=flags.killed(connection),
        memories=ledger.memories(connection, found),
        arrived=evidence.drain(connection, found),
        open=evidence.open_units(connection, found, now_ms - _GAUGES_MS),
        users=users.counts(connection, {(one.key, one.epoch) for one in found.values()}),
        instances=known,
        serving=instances.serving(connection, {one.flag_key for one in found.values()}),
        versions={one.id: one.app_version for one in known},
        alerts=alerts.open_alerts(connection, found),
        latest=ledger.latest_analyses(connection, found),
        freezes=freezes.active(connection, now_ms),
    )


def _judge(connection: Connection, read: _Read, rollout: Rollout) -> _Outcome:
    if rollout.constants is None or rollout.key not in read.memories:
        raise ValueError("it was started by an earlier release and has no constants; roll it back and start it again")
    if rollout.unknown:
        raise UnknownPlan(f"a newer release wrote {', '.join(rollout.unknown)} into its plan; this one does not guess")
    key = rollout.key
    frozen = constants.get(connection, rollout.constants)
    before = state_from(read.memories[key].state)
    around = Surroundings(read.open.get(key, {}), read.users.get(key, Users()), read.versions)
    slot = close_slot(rollout, before, read.arrived.get(key, ()), around, read.now_ms)
    after, analysis = judge(frozen, before, slot)
    lease_ms = rollout.plan.lease_ms
    seen = circumstances_of(
        rollout,
        read.now_ms,
        instances_behind=behind(read.instances, rollout.revision or 0, read.now_ms, lease_ms),
        killed=rollout.flag_key in read.killed,
        versions=versions_of(read.of(rollout), read.now_ms, lease_ms),
        frozen=held(read.freezes, rollout.flag_key),
    )
    choice = decide(analysis, seen)
    judged = Judged(
        rollout=key,
        slot=slot,
        analysis=analysis,
        stage=rollout.stage,
        circumstances=seen.plain(),
        action=choice.act.value,
        message=explain(frozen, analysis, seen, choice),
        state=after.canonical(),
        slot_digest=after.chain,
        constants_digest=frozen.digest(),
    )
    return _Outcome(rollout, frozen, after, choice, judged)


def _record(connection: Connection, read: _Read, one: _Outcome) -> None:
    """What follows from a judgement: alerts, and an act."""
    rollout, lease_ms, mine = one.rollout, one.rollout.plan.lease_ms, read.of(one.rollout)
    wanted = alerts_of(one.frozen, one.judged.analysis, one.choice, one.judged.message)
    beside = {
        alerting.LOST_INSTANCE: lost(mine, read.now_ms, lease_ms),
        alerting.UNRECONCILED: contradicting(mine, read.now_ms, lease_ms),
    }
    wanted |= {name: message for name, message in beside.items() if message}
    opened = read.alerts.get(rollout.key, {})
    alerts.move(connection, rollout.key, *alerting.changed(opened, wanted), read.now_ms)
    alerts.reword(connection, rollout.key, alerting.reworded(opened, wanted))
    if not rollout.versions:  # the first that are heard of: nothing was proven under others
        rollouts.keep_versions(connection, rollout.key, versions_of(mine, read.now_ms, lease_ms))
    if one.choice.act is not Action.HOLD:
        _act(connection, read, one)


def _act(connection: Connection, read: _Read, one: _Outcome) -> None:
    action, analysis = one.choice.act, one.judged.analysis
    worst = analysis.worst
    after = life.after(one.rollout, action, read.now_ms)
    numbers = arithmetic(one.frozen, worst) if worst else {}
    decision = Decision(one.rollout.key, action, one.judged.message, analysis.seq, numbers)
    change = _change(read, one.rollout, after, decision)
    if action is Action.ROLLBACK and analysis.effect is not Effect.ROLLBACK:  # an approval that came too late
        change = replace(change, actor=CLOCK)
    if action is Action.ROLLBACK:
        shared = worst is not None and worst.shared
        failed = () if shared or worst is None else failing_versions(one.after, one.frozen.tests[0].allowed_ppm)
        after = replace(after, detected_ms=read.now_ms)
        change = replace(change, rollout=after, shared=shared, quarantined=failed)
    if action is Action.OPEN_EPOCH:
        known = {*one.rollout.versions, *versions_of(read.of(one.rollout), read.now_ms, one.rollout.plan.lease_ms)}
        change = replace(change, rollout=replace(after, versions=tuple(sorted(known))))
    if action is Action.PROMOTE:
        flag = flags.get(connection, one.rollout.flag_key)
        change = replace(change, flag=serving(flag, one.rollout.canary, read.now_ms), flag_before=flag)
    record.apply(connection, change)


def _change(read: _Read, before: Rollout, after: Rollout, decision: Decision) -> Change:
    return Change(
        JUDGE,
        f"rollout.{decision.action.value}",
        decision.message,
        read.now_ms,
        after,
        before,
        decision=decision,
        term=read.lease.term,
        holder=read.lease.holder,
    )


def _note_error(connection: Connection, read: _Read, rollout: Rollout, error: Exception) -> Evaluated:
    """The evidence goes back to wait; after three errors in a row a person has to look."""
    evidence.give_back(connection, rollout.key, read.arrived.get(rollout.key, ()))
    times = ledger.note_error(connection, rollout.key) if rollout.key in read.memories else _MOST_ERRORS
    message = f"the judge could not judge ({times} in a row): {type(error).__name__}: {error}"
    action = Action.HOLD
    if times >= _MOST_ERRORS:
        opened = read.alerts.get(rollout.key, {})
        raised = {} if alerting.JUDGE_ERROR in opened else {alerting.JUDGE_ERROR: message}
        alerts.move(connection, rollout.key, raised, (), read.now_ms)
        if rollout.phase is Phase.PROGRESSING:
            action = Action.PAUSE
            after = life.after(rollout, action, read.now_ms)
            record.apply(connection, _change(read, rollout, after, Decision(rollout.key, action, message)))
    return Evaluated(rollout.key, None, action, message, error)
