"""Before anybody sees the canary: the control is measured, then its floor is frozen and the first stage begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import Connection

from controller.domain import alerts as alerting
from controller.domain import rollouts as life
from controller.domain.alerts import CONTROL_BELOW_FLOOR
from controller.domain.changes import Change, Decision
from controller.domain.control import check_control, control_rates
from controller.domain.errors import ControlBelowFloor
from controller.domain.freezes import held
from controller.domain.instances import versions_of
from controller.domain.judge.freeze import freeze
from controller.domain.judge.state import fresh_state
from controller.domain.leases import Lease
from controller.domain.meaning import what_it_means
from controller.domain.outcomes import Arm
from controller.domain.rollouts import Action, Phase, Rollout
from controller.domain.tallies import Tally
from controller.storage import (
    alerts,
    constants,
    evidence,
    freezes,
    instances,
    leases,
    ledger,
    record,
    rollouts,
    rounds,
    windows,
)
from controller.storage.database import Database


def measure(database: Database, key: str, lease: Lease, now_ms: int) -> Rollout | None:
    """Count what has arrived of the control, and begin the first stage when the time is over; None: not measuring.

    A control that is below its floor by then holds the rollout, with an alert that says by how much.

    Raises:
        StaleTerm: somebody else evaluates by now; nothing was written.
    """
    with database.write() as connection:
        leases.check(connection, lease.holder, lease.term)
        rollout = rollouts.get(connection, key)
        if rollout.phase is not Phase.MEASURING:
            return None
        measured = _count(connection, rollout)
        if now_ms - (rollout.started_ms or now_ms) < rollout.plan.measure_ms:
            return rollout
        if rollout.unknown:
            return rollout  # a newer release wrote the plan, and begins it
        if held(freezes.active(connection, now_ms), rollout.flag_key).words:
            return rollout  # a freeze holds every start; it goes on being measured
        return _begin(connection, rollout, measured, lease, now_ms)


def _count(connection: Connection, rollout: Rollout) -> dict[str, Tally]:
    measured = rollouts.measured(connection, rollout.key)
    arrived = evidence.drain(connection, [rollout.key]).get(rollout.key, [])
    for row in arrived:
        if row.arm == Arm.CONTROL and row.epoch == rollout.epoch:
            measured[row.stream] = measured.get(row.stream, Tally()).plus(Tally(row.failed, row.total))
    if arrived:
        rollouts.keep_measured(connection, rollout.key, measured)
    return measured


def _begin(
    connection: Connection, rollout: Rollout, measured: Mapping[str, Tally], lease: Lease, now_ms: int
) -> Rollout:
    counts = windows.control_counts(connection, rollout, now_ms)
    rates = control_rates(rollout.plan, counts, measured)
    frozen = freeze(rollout.plan, rates)
    try:
        check_control(rollout.plan, rates, frozen)
    except ControlBelowFloor as error:
        _hold(connection, rollout, error.detail, now_ms)
        return rollout
    known = versions_of(instances.of_flag(connection, rollout.flag_key), now_ms, rollout.plan.lease_ms)
    begun = replace(
        life.after(rollout, Action.START, now_ms),
        floor_ppm=frozen.tests[0].floor_ppm,
        constants=constants.keep(connection, frozen),
        versions=tuple(sorted(known)),
    )
    ledger.begin(connection, rollout.key, fresh_state(frozen, begun.epoch, rounds.last_seq(connection, rollout.key)))
    message = f"measured for its time: {what_it_means(frozen, counts)}"
    change = Change("judge", "rollout.start", message, now_ms, begun, rollout)
    decision = Decision(rollout.key, Action.START, message)
    record.apply(connection, replace(change, decision=decision, term=lease.term, holder=lease.holder))
    rollouts.keep_measured(connection, rollout.key, None)
    alerts.clear_all(connection, rollout.key, now_ms)
    return begun


def _hold(connection: Connection, rollout: Rollout, detail: str, now_ms: int) -> None:
    opened = alerts.open_alerts(connection, [rollout.key]).get(rollout.key, {})
    raised, cleared = alerting.changed(opened, {CONTROL_BELOW_FLOOR: detail})
    alerts.move(connection, rollout.key, raised, cleared, now_ms)
