"""What people do with rollouts; the judge's own acts are in usecases/evaluation.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from controller.domain import rollouts as life
from controller.domain.changes import Change, Decision
from controller.domain.durations import percent_text
from controller.domain.errors import (
    AlreadyExists,
    ChangedMeanwhile,
    Conflict,
    ControlBelowFloor,
    Invalid,
    OverlappingEvents,
    SecondLiveRollout,
    UnknownRollout,
)
from controller.domain.explain import failures_to_convict
from controller.domain.flags import Flag, serving
from controller.domain.judge.constants import Constants, auto_floor_permille, delivery_constants
from controller.domain.judge.state import fresh_state
from controller.domain.plans import Plan
from controller.domain.rollouts import Action, Phase, Rollout
from controller.domain.tallies import Counts
from controller.storage import flags, ledger, record, rollouts, snapshots, windows
from controller.storage.database import Database
from controller.wire.manifests import Manifest, plan_of

_DAY_MS = 86_400_000
#: With fewer control outcomes than this its rate says nothing, so `start` does not refuse on it.
_LEAST_CONTROL = 100


@dataclass(frozen=True, slots=True)
class Order:
    """A person's act: who, why, when, and the version that was read (None: whatever it is now)."""

    actor: str
    now_ms: int
    reason: str = ""
    version: int | None = None
    request_id: str = ""


def apply(database: Database, manifest: Manifest, order: Order) -> Rollout:
    """Create a draft from a manifest, or replace the draft of the same key; the same manifest again changes nothing.

    Raises:
        Invalid: the manifest does not fit the flag. UnknownFlag. AlreadyExists: the rollout has been started.
    """
    plan = plan_of(manifest)
    with database.write() as connection:
        _check_variants(flags.get(connection, manifest.flag), manifest)
        try:
            before = rollouts.get(connection, manifest.rollout)
        except UnknownRollout:
            before = None
        if before is not None and _same(before, manifest, plan):
            return before
        if before is not None and before.phase is not Phase.DRAFT:
            raise AlreadyExists(
                f"rollout {before.key!r} is {before.phase.value}; give the new plan another key", field="rollout"
            )
        draft = _draft(manifest, plan, before, order.now_ms)
        change = Change(order.actor, "rollout.applied", order.reason, order.now_ms, draft, before)
        record.apply(connection, change, order.request_id)
    return draft


def start(database: Database, key: str, order: Order) -> tuple[Rollout, str]:
    """Begin the first stage; freezes the floor and the judge's constants.

    Returns:
        the rollout, and what its guard means in words.

    Raises:
        WrongPhase, ChangedMeanwhile, SecondLiveRollout, OverlappingEvents, ControlBelowFloor, Conflict (killed flag).
    """
    with database.write() as connection:
        snapshots.hold(connection)
        before = _read(connection, key, order)
        life.next_phase(before.phase, Action.START)
        _check_start(connection, before)
        control = _control_counts(connection, before, order.now_ms)
        floor = before.plan.guard.floor_permille or auto_floor_permille(
            control.delivered, control.delivered + control.failed
        )
        _check_control(control, floor)
        plan = before.plan
        constants = delivery_constants(floor, plan.unit, plan.events, plan.promotion_margin_permille)
        ledger.keep_state(connection, key, fresh_state(constants))
        started = life.after(before, Action.START, order.now_ms)
        started = replace(started, floor_permille=floor, constants=constants.canonical())
        meaning = what_it_means(constants, control)
        _record(connection, before, started, Action.START, order, meaning)
    return started, meaning


def pause(database: Database, key: str, order: Order) -> Rollout:
    """Hold the present share; failures still roll back."""
    return _act(database, key, Action.PAUSE, order)


def resume(database: Database, key: str, order: Order) -> Rollout:
    """Go on with the stage; the time spent paused is not baked."""
    return _act(database, key, Action.RESUME, order)


def abort(database: Database, key: str, order: Order) -> Rollout:
    """Give up a draft."""
    return _act(database, key, Action.ABORT, order)


def rollback(database: Database, key: str, order: Order) -> Rollout:
    """Take the canary away from everybody, now."""
    return _act(database, key, Action.ROLLBACK, order, lambda r: replace(r, detected_ms=order.now_ms))


def promote(database: Database, key: str, order: Order) -> Rollout:
    """Serve the canary to everybody, for good."""
    with database.write() as connection:
        before = _read(connection, key, order)
        after = life.after(before, Action.PROMOTE, order.now_ms)
        flag = flags.get(connection, before.flag_key)
        served = serving(flag, before.canary, order.now_ms)
        change = _change(before, after, Action.PROMOTE, order, "")
        record.apply(connection, replace(change, flag=served, flag_before=flag), order.request_id)
    return after


def what_it_means(constants: Constants, control: Counts) -> str:
    """The guard of a rollout in words, before it acts."""
    total = control.delivered + control.failed
    known = (
        f"control {100 * control.delivered / total:.1f} % of {total:,} events over 24 h"
        if total
        else "no control history"
    )
    floor = constants.floor_permille / 10
    return (
        f"{known}; rolls back on evidence of less than a healthy {floor:g} % once the observed rate is below 95 %; "
        f"a canary that fails entirely is convicted after {failures_to_convict(constants)} failed units "
        f"({constants.kind})"
    )


def _act(
    database: Database, key: str, action: Action, order: Order, also: Callable[[Rollout], Rollout] = lambda r: r
) -> Rollout:
    with database.write() as connection:
        before = _read(connection, key, order)
        after = also(life.after(before, action, order.now_ms))
        _record(connection, before, after, action, order, "")
    return after


def _read(connection: Connection, key: str, order: Order) -> Rollout:
    rollout = rollouts.get(connection, key)
    if order.version is not None and order.version != rollout.version:
        raise ChangedMeanwhile(f"rollout {key!r} is at version {rollout.version}, not {order.version}", field="version")
    return rollout


def _record(
    connection: Connection, before: Rollout, after: Rollout, action: Action, order: Order, message: str
) -> None:
    record.apply(connection, _change(before, after, action, order, message), order.request_id)


def _change(before: Rollout, after: Rollout, action: Action, order: Order, message: str) -> Change:
    words = message or f"{action.value} by {order.actor}" + (f": {order.reason}" if order.reason else "")
    decision = Decision(before.key, action, words)
    return Change(order.actor, f"rollout.{action.value}", order.reason, order.now_ms, after, before, decision=decision)


def _same(rollout: Rollout, manifest: Manifest, plan: Plan) -> bool:
    named = (rollout.flag_key, rollout.control, rollout.canary)
    return rollout.plan == plan and named == (manifest.flag, manifest.control, manifest.canary)


def _draft(manifest: Manifest, plan: Plan, before: Rollout | None, now_ms: int) -> Rollout:
    return Rollout(
        key=manifest.rollout,
        flag_key=manifest.flag,
        control=manifest.control,
        canary=manifest.canary,
        plan=plan,
        version=before.version + 1 if before else 1,
        created_ms=before.created_ms if before else now_ms,
    )


def _check_variants(flag: Flag, manifest: Manifest) -> None:
    for field, variant in (("control", manifest.control), ("canary", manifest.canary)):
        if variant not in flag.variants:
            raise Invalid(
                f"flag {flag.key!r} has no variant {variant!r}; it has {', '.join(sorted(flag.variants))}", field=field
            )
    if manifest.control == manifest.canary:
        raise Invalid("canary and control are two different variants", field="canary")
    if manifest.control != flag.control:
        raise Invalid(
            f"the flag's kill switch serves {flag.control!r}; a rollout is compared with that", field="control"
        )


def _check_start(connection: Connection, rollout: Rollout) -> None:
    flag = flags.get(connection, rollout.flag_key)
    if not flag.enabled:
        raise Conflict(f"flag {flag.key!r} is killed; enable it first", field="flag")
    for other in rollouts.unfinished(connection):
        if other.flag_key == rollout.flag_key:
            raise SecondLiveRollout(f"rollout {other.key!r} of this flag is {other.phase.value}", field="flag")
        shared = sorted(set(other.plan.events) & set(rollout.plan.events))
        if shared and not rollout.plan.allow_overlap:
            raise OverlappingEvents(
                f"{', '.join(shared)} would be judged by {other.key!r} too; end it, choose other events, or write "
                "allow_overlap: true",
                field="events",
            )


def _control_counts(connection: Connection, rollout: Rollout, now_ms: int) -> Counts:
    found = windows.health(connection, rollout.flag_key, now_ms - _DAY_MS)
    total = Counts()
    for (variant, event_type), counts in found.items():
        if variant == rollout.control and event_type in rollout.plan.events:
            total = total.plus(counts)
    return total


def _check_control(control: Counts, floor_permille: int) -> None:
    total = control.delivered + control.failed
    if total < _LEAST_CONTROL or 1000 * control.delivered >= floor_permille * total:
        return
    rate, floor = 100 * control.delivered / total, floor_permille / 10
    raise ControlBelowFloor(
        f"the control delivered {rate:.2f} % of {total:,} events over 24 h, {floor - rate:.2f} points below the floor "
        f"of {percent_text(floor_permille, 1000)}; mend the control first, or set a lower floor",
        field="guards[0].floor",
    )
