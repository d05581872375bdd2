"""How a rollout begins: what speaks against it, the control's rate, the judge's constants."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from controller.domain import rollouts as life
from controller.domain.changes import Change, Decision
from controller.domain.control import check_control, control_rates
from controller.domain.durations import clock_text, duration_text
from controller.domain.errors import Conflict, CoolingDown, OverlappingEvents, Quarantined, SecondLiveRollout
from controller.domain.instances import versions_of
from controller.domain.judge.freeze import freeze
from controller.domain.judge.state import fresh_state
from controller.domain.meaning import what_it_means
from controller.domain.orders import Order
from controller.domain.plans import Mode
from controller.domain.rollouts import Action, Phase, Rollout
from controller.storage import (
    constants,
    flags,
    freezes,
    instances,
    ledger,
    quarantines,
    record,
    rollouts,
    rounds,
    snapshots,
    windows,
)
from controller.storage.database import Database


def start(database: Database, key: str, order: Order) -> tuple[Rollout, str]:
    """Begin the first stage, or (with `measure`) the measuring of the control before it; freezes what it is judged by.

    Of a rollout that is measuring, this ends the measuring.

    Returns:
        the rollout, and what its guards mean in words.

    Raises:
        WrongPhase, ChangedMeanwhile, SecondLiveRollout, OverlappingEvents, ControlBelowFloor, CoolingDown, Quarantined,
        Conflict (killed flag), Frozen, OutOfScope.
    """
    with database.write() as connection:
        snapshots.hold(connection)
        before = rollouts.read_at(connection, key, order.version)
        order.scope.check(before.flag_key)
        measures = before.phase is Phase.DRAFT and before.plan.measure_ms > 0
        life.next_phase(before.phase, Action.MEASURE if measures else Action.START)
        freezes.check(connection, before.flag_key, order)
        _check(connection, before, order.now_ms)
        return (_measure if measures else _begin)(connection, before, order)


def _measure(connection: Connection, before: Rollout, order: Order) -> tuple[Rollout, str]:
    counts = windows.control_counts(connection, before, order.now_ms)
    rates = control_rates(before.plan, counts, {})
    check_control(before.plan, rates, freeze(before.plan, rates))
    after = replace(life.after(before, Action.MEASURE, order.now_ms), started_by=order.actor)
    rollouts.keep_measured(connection, before.key, None)
    message = f"measuring the control for {duration_text(before.plan.measure_ms)}; nobody sees the canary yet"
    _record(connection, before, after, Action.MEASURE, order, message)
    return after, message


def _begin(connection: Connection, before: Rollout, order: Order) -> tuple[Rollout, str]:
    counts = windows.control_counts(connection, before, order.now_ms)
    rates = control_rates(before.plan, counts, rollouts.measured(connection, before.key))
    frozen = freeze(before.plan, rates)
    check_control(before.plan, rates, frozen)
    known = versions_of(instances.of_flag(connection, before.flag_key), order.now_ms, before.plan.lease_ms)
    started = replace(
        life.after(before, Action.START, order.now_ms),
        floor_ppm=frozen.tests[0].floor_ppm,
        constants=constants.keep(connection, frozen),
        started_by=order.actor,
        versions=tuple(sorted(known)),
    )
    last_seq = rounds.last_seq(connection, before.key)
    ledger.begin(connection, before.key, fresh_state(frozen, started.epoch, last_seq))
    meaning = what_it_means(frozen, counts)
    if before.plan.mode is Mode.OBSERVE:
        meaning = f"observing only, nothing is moved; otherwise: {meaning}"
    _record(connection, before, started, Action.START, order, meaning)
    return started, meaning


def _check(connection: Connection, rollout: Rollout, now_ms: int) -> None:
    if rollout.unknown:
        names = ", ".join(rollout.unknown)
        raise Conflict(f"a newer release wrote {names} into its plan, which this one does not know: start it there")
    flag = flags.get(connection, rollout.flag_key)
    if not flag.enabled:
        raise Conflict(f"flag {flag.key!r} is killed; enable it first", field="flag")
    if rollout.cool_until_ms is not None and now_ms < rollout.cool_until_ms:
        left = duration_text(max(1_000, (rollout.cool_until_ms - now_ms) // 1_000 * 1_000))
        raise CoolingDown(
            f"it was rolled back; it can be started in {left} (from {clock_text(rollout.cool_until_ms)} on), or with "
            "another cool_down in its manifest",
            field="cool_down",
        )
    _check_quarantine(connection, rollout, now_ms)
    for other in rollouts.unfinished(connection):
        if other.key != rollout.key:
            _check_other(rollout, other)


def _check_other(rollout: Rollout, other: Rollout) -> None:
    if other.flag_key == rollout.flag_key:
        raise SecondLiveRollout(f"rollout {other.key!r} of this flag is {other.phase.value}", field="flag")
    shared = sorted(set(other.plan.events) & set(rollout.plan.events))
    if shared and not rollout.plan.allow_overlap:
        raise OverlappingEvents(
            f"{', '.join(shared)} would be judged by {other.key!r} too; end it, choose other events, or write "
            "allow_overlap: true",
            field="events",
        )


def _check_quarantine(connection: Connection, rollout: Rollout, now_ms: int) -> None:
    held = {one.app_version: one for one in quarantines.every(connection, rollout.flag_key)}
    running = versions_of(instances.of_flag(connection, rollout.flag_key), now_ms, rollout.plan.lease_ms)
    if running and running <= held.keys():
        first = held[min(running)]
        raise Quarantined(
            f"all live instances run {', '.join(sorted(running))}, which failed in {first.rollout} (round "
            f"{first.round}) and serves the control; deploy another version, or lift the quarantine when re-arming",
            field="app_version",
        )


def _record(
    connection: Connection, before: Rollout, after: Rollout, action: Action, order: Order, message: str
) -> None:
    decision = Decision(before.key, action, message)
    change = Change(order.actor, f"rollout.{action.value}", order.reason, order.now_ms, after, before)
    record.apply(connection, replace(change, decision=decision), order.request_id)
