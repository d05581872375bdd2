"""Each rollout: where it stands, what speaks against it, and what a person has to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import Metric
from sqlalchemy import Connection, func, select

from controller.domain.bucketing import WHOLE
from controller.domain.guards import PPM
from controller.domain.instances import Instance, InstanceState, verify
from controller.domain.judge.findings import Evidence
from controller.domain.rollouts import Action, Phase, Rollout
from controller.storage import alerts, instances, ledger, snapshots
from controller.storage.tables import decisions
from controller.web.figures.families import counters, gauges

#: What dashboards and rules wait for.
_AWAITED = (Action.START, Action.ADVANCE, Action.PAUSE, Action.PROMOTE, Action.ROLLBACK, Action.VERIFY)
Values = dict[tuple[str, ...], float]


def families(
    connection: Connection, known: Sequence[Rollout], clients: Sequence[Instance], now_ms: int
) -> Iterator[Metric]:
    """The families of these rollouts."""
    yield _of("canary_rollout_share_ratio", "Canary share.", {r.key: r.weight / WHOLE for r in known})
    yield _of("canary_rollout_live", "1 while users can see the canary.", {r.key: r.phase.live for r in known})
    yield _phases(known)
    yield from _judged(connection, known, now_ms)
    yield from _rollbacks(connection, known, clients, now_ms)
    yield _exposures(connection, known, clients, now_ms)
    yield _decisions(connection, {r.key for r in known})
    yield _alerts(connection, {r.key for r in known})
    floors = {r.key: r.floor_ppm / PPM for r in known if r.phase.live and r.floor_ppm is not None}
    yield _of("canary_control_floor_ratio", "What the control should deliver at least.", floors)


def _of(name: str, text: str, values: Mapping[str, float]) -> Metric:
    return gauges(name, text, ["rollout"], {(key,): value for key, value in values.items()})


def _phases(known: Sequence[Rollout]) -> Metric:
    values: Values = {(r.key, phase.value): int(r.phase is phase) for r in known for phase in Phase}
    return gauges("canary_rollout_phase", "1 for the present phase.", ["rollout", "phase"], values)


def _judged(connection: Connection, known: Sequence[Rollout], now_ms: int) -> Iterator[Metric]:
    live = {r.key: r for r in known if r.phase.live}
    evidence: Values = {}
    for key, row in sorted(ledger.latest_analyses(connection, live).items()):
        for one in (Evidence(**stored) for stored in row["evidence"]):
            evidence[key, one.guard, one.stream] = one.permille_of_line / 1000
    text = "Evidence against the canary over its line; 1 convicts."
    yield gauges("canary_evidence_ratio", text, ["rollout", "guard", "stream"], evidence)
    looked = {
        key: (memory.evaluated_ms or live[key].stage_started_ms or now_ms) / 1000
        for key, memory in ledger.memories(connection, live).items()
    }
    yield _of("canary_rollout_evaluated_timestamp_seconds", "When the judge last looked at a live rollout.", looked)
    waited = {key: _patience(rollout, now_ms) for key, rollout in live.items()}
    yield _of("canary_rollout_patience_ratio", "How much of its patience a stage has used up after baking.", waited)


def _patience(rollout: Rollout, now_ms: int) -> float:
    """What is used up of a stage's patience; a pause stops it, since that is what it asks for."""
    began_ms = (rollout.stage_started_ms or now_ms) + rollout.present_stage.bake_ms
    return max(0, (rollout.paused_ms or now_ms) - began_ms) / rollout.plan.patience_ms


def _rollbacks(
    connection: Connection, known: Sequence[Rollout], clients: Sequence[Instance], now_ms: int
) -> Iterator[Metric]:
    under_way = {r.key: r for r in known if r.phase is Phase.ROLLING_BACK}
    flags = {r.key: int(r.key in under_way) for r in known}
    yield _of("canary_rollback_unverified", "1 while a rollback is not verified.", flags)
    since = {r.key: (now_ms - (r.decided_ms or now_ms)) / 1000 if r.key in under_way else 0 for r in known}
    text = "Seconds since a rollback that is not verified was decided."
    yield _of("canary_rollback_unverified_seconds", text, since)
    missing = {r.key: _missing(connection, r, clients, now_ms) if r.key in under_way else 0 for r in known}
    text = "Live instances that have not confirmed a rollback."
    yield _of("canary_rollback_unconfirmed_instances", text, missing)


def _missing(connection: Connection, rollout: Rollout, clients: Sequence[Instance], now_ms: int) -> int:
    arms = instances.arms(connection, rollout.flag_key, rollout.canary)
    return len(verify(rollout.revision or 0, clients, arms, now_ms, rollout.plan.lease_ms).missing)


def _exposures(connection: Connection, known: Sequence[Rollout], clients: Sequence[Instance], now_ms: int) -> Metric:
    """Exposures to a canary that a rollback has withdrawn, by live instances that know of it."""
    gone = snapshots.withdrawn_variants(connection)
    values: dict[str, float] = {}
    for rollout in known:
        if rollout.phase not in (Phase.ROLLING_BACK, Phase.ROLLED_BACK):
            continue
        withdrawn = rollout.canary in gone.get(rollout.flag_key, ())
        arms = instances.arms(connection, rollout.flag_key, rollout.canary) if withdrawn else []
        live = (one for one in clients if one.state(now_ms, rollout.plan.lease_ms) is InstanceState.LIVE)
        knowing = {one.id for one in live if one.revision >= (rollout.revision or 0)}
        values[rollout.key] = sum(arm.since_applied for arm in arms if arm.instance in knowing)
    text = "Exposures to a canary that was rolled back, by instances that have applied the rollback."
    return _of("canary_rollback_late_exposures", text, values)


def _decisions(connection: Connection, known: set[str]) -> Metric:
    counted = select(decisions.c.rollout, decisions.c.action, func.count()).group_by(
        decisions.c.rollout, decisions.c.action
    )
    # A count that begins at one has no increase that Prometheus could see.
    values: Values = {(key, action.value): 0 for key in sorted(known) for action in _AWAITED}
    values |= {(key, action): n for key, action, n in connection.execute(counted) if key in known}
    return counters("canary_decisions", "Acts on rollouts.", ["rollout", "action"], values)


def _alerts(connection: Connection, known: set[str]) -> Metric:
    found = alerts.open_alerts(connection, known)
    values: Values = {(key, name): 1 for key, by_name in sorted(found.items()) for name in sorted(by_name)}
    return gauges("canary_alerts_open", "1 for each open alert of the judge.", ["rollout", "alert"], values)
