"""What people do with rollouts; how one begins is in usecases/starting.py, the judge's own acts in evaluation.py.

Whoever may not change a rollout's flag is refused (OutOfScope).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from sqlalchemy import Connection

from controller.domain import rollouts as life
from controller.domain.bucketing import WHOLE
from controller.domain.changes import Change, Decision
from controller.domain.durations import percent_text
from controller.domain.errors import (
    AlreadyExists,
    Conflict,
    GuardVeto,
    Invalid,
    NeedsApproval,
    NotFound,
    OwnApproval,
    UnknownRollout,
)
from controller.domain.flags import Flag, serving
from controller.domain.judge.findings import Verdict
from controller.domain.orders import Order
from controller.domain.plans import Plan
from controller.domain.rollouts import Action, Phase, Rollout
from controller.storage import flags, freezes, ledger, quarantines, record, rollouts, rounds
from controller.storage.database import Database
from controller.storage.rounds import Round
from controller.wire.manifests import Manifest, plan_of


def apply(database: Database, manifest: Manifest, order: Order) -> Rollout:
    """Create a draft from a manifest, or replace the draft of the same key; the same manifest again changes nothing.

    Raises:
        Invalid: the manifest does not fit the flag. UnknownFlag. AlreadyExists: the rollout has been started.
    """
    plan = plan_of(manifest)
    order.scope.check(manifest.flag)
    with database.write() as connection:
        _check_variants(flags.get(connection, manifest.flag), manifest)
        try:
            before = rollouts.get(connection, manifest.rollout)
        except UnknownRollout:
            before = None
        if before is not None and _same(before, manifest, plan):
            return before
        if before is not None:
            order.scope.check(before.flag_key)
        if before is not None and before.phase is not Phase.DRAFT:
            again = "re-arm it first" if (before.phase, Action.RE_ARM) in life.TRANSITIONS else "give another key"
            raise AlreadyExists(f"rollout {before.key!r} is {before.phase.value}; {again}", field="rollout")
        draft = _draft(manifest, plan, before, order.now_ms)
        change = Change(order.actor, "rollout.applied", order.reason, order.now_ms, draft, before)
        record.apply(connection, change, order.request_id)
    return draft


def pause(database: Database, key: str, order: Order) -> Rollout:
    """Hold the present share; failures still roll back."""
    return _act(database, key, Action.PAUSE, order)


def resume(database: Database, key: str, order: Order) -> Rollout:
    """Go on with the stage; the time spent paused is not baked."""
    return _act(database, key, Action.RESUME, order)


def abort(database: Database, key: str, order: Order) -> Rollout:
    """Give up a draft, or the measuring before the first stage."""
    return _act(database, key, Action.ABORT, order)


def rollback(database: Database, key: str, order: Order) -> Rollout:
    """Take the canary away from everybody, now."""
    return _act(database, key, Action.ROLLBACK, order, lambda r: replace(r, detected_ms=order.now_ms))


def advance(database: Database, key: str, order: Order) -> Rollout:
    """Go on to the next stage without waiting for its evidence or its bake time.

    Raises:
        NeedsApproval: the next stage has not been approved. Frozen: a freeze holds it. GuardVeto: the judge speaks
        against it.
    """
    with database.write() as connection:
        before = _read(connection, key, order)
        after = life.after(before, Action.ADVANCE, order.now_ms)
        _check_approvals(before, after.weight)
        freezes.check(connection, before.flag_key, order)
        _check_veto(connection, before, order)
        _record(connection, before, after, Action.ADVANCE, order)
    return after


def set_share(database: Database, key: str, weight: int, order: Order) -> Rollout:
    """Set the canary's share by hand: a new evidence epoch, whose bake time begins now.

    Raises:
        WrongPhase; Invalid: not more than nothing, or it takes the holdback. NeedsApproval: a stage up to this share
        has not been approved. Frozen, GuardVeto: it grows in a freeze, or against the judge.
    """
    with database.write() as connection:
        before = _read(connection, key, order)
        after = life.with_share(before, weight, order.now_ms)
        most = WHOLE - before.plan.holdback
        if not 0 < weight <= most:
            hint = "to take the canary from everybody, roll back, or disable the flag" if not weight else "see holdback"
            raise Invalid(f"a share is more than 0% and at most {percent_text(most)}; {hint}", field="share")
        _check_approvals(before, weight)
        if weight > before.weight:
            freezes.check(connection, before.flag_key, order)
            _check_veto(connection, before, order)
        words = f"share set from {percent_text(before.weight)} to {percent_text(weight)} by {order.actor}"
        _record(connection, before, after, Action.SET_SHARE, order, words + _because(order))
    return after


def approve(database: Database, key: str, order: Order) -> Rollout:
    """Agree to the next stage; it begins as soon as the present one has passed.

    Raises:
        Conflict: the next stage asks for no approval. OwnApproval: by whoever started the rollout.
    """
    with database.write() as connection:
        before = _read(connection, key, order)
        after = life.after(before, Action.APPROVE, order.now_ms)
        if before.approval is None:
            raise Conflict("the next stage asks for no approval", field="stage")
        if order.actor == before.started_by:
            raise OwnApproval(f"{order.actor} started this rollout; somebody else has to approve it", field="actor")
        _record(connection, before, after, Action.APPROVE, order)
    return after


def promote(database: Database, key: str, order: Order) -> Rollout:
    """Serve the canary to everybody, for good.

    Raises:
        WrongPhase; NeedsApproval: a stage that is left out has not been approved. Frozen: a freeze holds it.
        GuardVeto: the judge speaks against it.
    """
    with database.write() as connection:
        before = _read(connection, key, order)
        after = life.after(before, Action.PROMOTE, order.now_ms)
        _check_approvals(before, WHOLE)
        freezes.check(connection, before.flag_key, order)
        _check_veto(connection, before, order)
        flag = flags.get(connection, before.flag_key)
        served = serving(flag, before.canary, order.now_ms)
        change = _change(before, after, Action.PROMOTE, order, "")
        record.apply(connection, replace(change, flag=served, flag_before=flag), order.request_id)
    return after


def re_arm(database: Database, key: str, lifted: Collection[str], order: Order) -> tuple[Rollout, list[str]]:
    """Make a rolled-back rollout a draft again, with the same salt; nothing is served to anybody by this.

    `lifted` names application versions whose quarantine ends.

    Returns:
        the draft, and the versions that are still in quarantine.

    Raises:
        WrongPhase: it was not rolled back. NotFound: a version is not in quarantine.
    """
    with database.write() as connection:
        before = _read(connection, key, order)
        after = life.after(before, Action.RE_ARM, order.now_ms)
        missing = set(lifted) - set(quarantines.lift(connection, before.flag_key, lifted))
        if missing:
            raise NotFound(f"{', '.join(sorted(missing))} is not in quarantine", field="lift")
        rollouts.forget_verification(connection, key)
        words = f"armed again by {order.actor}{_because(order)}"
        words += f"; quarantine lifted of {', '.join(sorted(lifted))}" if lifted else ""
        _record(connection, before, after, Action.RE_ARM, order, words)
        left = [one.app_version for one in quarantines.every(connection, before.flag_key)]
    return after, left


def label(database: Database, key: str, *, right: bool, number: int | None, order: Order) -> Round:
    """Say whether a rollback was right; the last round's unless another is named.

    Raises:
        UnknownRollout; NotFound: there was no such rollback.
    """
    with database.write() as connection:
        order.scope.check(rollouts.get(connection, key).flag_key)
        known = rounds.of_rollout(connection, key)
        found = next((one for one in reversed(known) if one.decided_ms and number in (None, one.round)), None)
        if found is None:
            raise NotFound("there was no rollback to label" + (f" in round {number}" if number else ""), field="round")
        rounds.label(connection, found, true=right, actor=order.actor, reason=order.reason, at_ms=order.now_ms)
        record.note(
            connection,
            actor=order.actor,
            action="rollback.labelled",
            subject=f"rollout/{key}",
            reason=order.reason,
            at_ms=order.now_ms,
            before={"round": found.round, "label": found.label},
            after={"round": found.round, "label": right},
            request_id=order.request_id,
        )
    return replace(found, label=right, labelled_by=order.actor, label_reason=order.reason, labelled_ms=order.now_ms)


def _read(connection: Connection, key: str, order: Order) -> Rollout:
    """The rollout at the version that the order was given for; whoever gives it may change its flag."""
    rollout = rollouts.read_at(connection, key, order.version)
    order.scope.check(rollout.flag_key)
    return rollout


def _act(
    database: Database, key: str, action: Action, order: Order, also: Callable[[Rollout], Rollout] = lambda r: r
) -> Rollout:
    with database.write() as connection:
        before = _read(connection, key, order)
        after = also(life.after(before, action, order.now_ms))
        _record(connection, before, after, action, order)
    return after


def _record(
    connection: Connection, before: Rollout, after: Rollout, action: Action, order: Order, message: str = ""
) -> None:
    record.apply(connection, _change(before, after, action, order, message), order.request_id)


def _change(before: Rollout, after: Rollout, action: Action, order: Order, message: str) -> Change:
    words = message or f"{action.value.replace('_', ' ')} by {order.actor}{_because(order)}"
    decision = Decision(before.key, action, words)
    return Change(order.actor, f"rollout.{action.value}", order.reason, order.now_ms, after, before, decision=decision)


def _because(order: Order) -> str:
    return (f": {order.reason}" if order.reason else "") + (" (forced)" if order.force else "")


def _check_approvals(rollout: Rollout, weight: int) -> None:
    """Nobody gets past a stage that needs an approval by going around it."""
    plan = rollout.plan
    for at, stage in enumerate(plan.stages):
        if stage.approval and rollout.weight < plan.weight_of(at) <= weight and rollout.approved != at:
            share = percent_text(plan.weight_of(at))
            raise NeedsApproval(f"the stage with {share} needs an approval: approve it first", field="stage")


def _check_veto(connection: Connection, rollout: Rollout, order: Order) -> None:
    """More canary against the judge's last word needs force, and a reason."""
    said = ledger.latest_analysis(connection, rollout.key)
    if said is None or said["verdict"] != Verdict.FAIL.value or rollout.constants is None:
        return
    if not order.force:
        raise GuardVeto(f"{said['message']}. Say `force` with a reason to go on regardless", field="force")
    if not order.reason.strip():
        raise Invalid("going against a guard needs a reason", field="reason")


def _same(rollout: Rollout, manifest: Manifest, plan: Plan) -> bool:
    named = (rollout.flag_key, rollout.control, rollout.canary)
    return rollout.plan == plan and named == (manifest.flag, manifest.control, manifest.canary)


def _draft(manifest: Manifest, plan: Plan, before: Rollout | None, now_ms: int) -> Rollout:
    known = before or Rollout(manifest.rollout, "", "", "", plan, version=0, created_ms=now_ms)
    return replace(
        known,
        flag_key=manifest.flag,
        control=manifest.control,
        canary=manifest.canary,
        plan=plan,
        version=known.version + 1,
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
