"""The only way any state changes: everything that belongs to a change, in the caller's one transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert

from controller.domain.changes import Change, Decision
from controller.domain.rollouts import Action
from controller.storage import alerts, audit, flags, leases, quarantines, rollouts, rounds, segments, snapshots, windows
from controller.storage.quarantines import Quarantine
from controller.storage.tables import decisions, outbox


def apply(connection: Connection, change: Change, request_id: str = "") -> int | None:
    """Write a change: term check, rows by condition, decision, audit entry, notice, and a snapshot if answers changed.

    Returns:
        the new snapshot revision, or None when no client needs to hear of it.

    Raises:
        StaleTerm: the judge that acts has lost its lease. ChangedMeanwhile, SecondLiveRollout, AlreadyExists: the rows
        are not as they were read; nothing is written.
    """
    if change.term is not None:
        leases.check(connection, change.holder or "", change.term)
    before, after = _write_rollout(connection, change)
    flag_before, flag_after = _write_flag(connection, change)
    segment_before, segment_after = _write_segment(connection, change)
    if change.decision is not None:
        _write_decision(connection, change, change.decision)
        _write_round(connection, change, change.decision.action)
    states = (before or flag_before or segment_before, after or flag_after or segment_after)
    _write_audit(connection, change, request_id, states)
    _write_notice(connection, change)
    if not _answers_changed(change):
        return None
    revision = snapshots.publish(connection, change.at_ms)
    if change.rollout is not None:
        rollouts.published_as(connection, change.rollout.key, revision)
    return revision


def note(  # noqa: PLR0913 - the columns of an entry
    connection: Connection,
    *,
    actor: str,
    action: str,
    subject: str,
    reason: str,
    at_ms: int,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    request_id: str = "",
) -> None:
    """Write an audit entry for something that has no state of its own to change."""
    entry = {"actor": actor, "action": action, "subject": subject, "reason": reason, "at_ms": at_ms}
    audit.add(connection, **entry, before=before, after=after, request_id=request_id)


def tell(connection: Connection, kind: str, subject: str, message: str, *, actor: str, at_ms: int) -> None:
    """Put a notice of something that is no change of a rollout or flag into the outbox."""
    body = {"actor": actor, "reason": "", "message": message}
    connection.execute(insert(outbox).values(at_ms=at_ms, kind=kind, subject=subject, body=body))


def _write_rollout(connection: Connection, change: Change) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    if change.rollout is None:
        return None, None
    if change.rollout_before is None:
        rollouts.add(connection, change.rollout)
        return None, rollouts.plain(change.rollout)
    rollouts.change(connection, change.rollout_before, change.rollout)
    return rollouts.plain(change.rollout_before), rollouts.plain(change.rollout)


def _write_flag(connection: Connection, change: Change) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    if change.flag is None:
        return None, None
    if change.flag_before is None:
        flags.add(connection, change.flag)
        return None, flags.plain(change.flag)
    flags.change(connection, change.flag_before, change.flag)
    return flags.plain(change.flag_before), flags.plain(change.flag)


def _write_segment(connection: Connection, change: Change) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    before, after = change.segment_before, change.segment
    if after is not None and before is not None:
        segments.change(connection, before, after)
    elif after is not None:
        segments.add(connection, after)
    elif before is not None:
        segments.remove(connection, before)
    return segments.plain(before) if before else None, segments.plain(after) if after else None


def _write_decision(connection: Connection, change: Change, decision: Decision) -> None:
    after = change.rollout
    if after is None:
        raise ValueError("a decision is about a rollout")
    connection.execute(
        insert(decisions).values(
            rollout=decision.rollout,
            at_ms=change.at_ms,
            actor=change.actor,
            action=decision.action.value,
            from_phase=(change.rollout_before or after).phase.value,
            to_phase=after.phase.value,
            stage=after.stage,
            weight=after.weight,
            seq=decision.seq,
            reason=change.reason,
            message=decision.message,
            arithmetic=dict(decision.arithmetic),
            term=change.term,
        )
    )


def _write_round(connection: Connection, change: Change, action: Action) -> None:
    """What the act means for the rollout's round; a rollback puts what failed into quarantine."""
    rollout = change.rollout
    if rollout is None:
        return
    match action:
        case Action.START:
            control = windows.control_counts(connection, rollout, change.at_ms)
            rounds.begin(connection, rollout, rounds.last_seq(connection, rollout.key) + 1, control)
        case Action.PROMOTE | Action.ROLLBACK:
            rounds.note_end(connection, rollout, change.actor, change.at_ms, shared=change.shared)
            alerts.clear_all(connection, rollout.key, change.at_ms)
            message = change.decision.message if change.decision else ""
            where = (rollout.key, rollout.round, change.at_ms, message)
            quarantines.add(connection, [Quarantine(rollout.flag_key, one, *where) for one in change.quarantined])
        case Action.ABORT:
            alerts.clear_all(connection, rollout.key, change.at_ms)
        case _:
            return


def _write_audit(
    connection: Connection, change: Change, request_id: str, states: tuple[dict[str, Any] | None, dict[str, Any] | None]
) -> None:
    note(
        connection,
        actor=change.actor,
        action=change.action,
        subject=change.subject,
        reason=change.reason,
        at_ms=change.at_ms,
        before=states[0],
        after=states[1],
        request_id=request_id,
    )


def _write_notice(connection: Connection, change: Change) -> None:
    message = change.decision.message if change.decision else change.reason
    body = {"actor": change.actor, "reason": change.reason, "message": message}
    connection.execute(insert(outbox).values(at_ms=change.at_ms, kind=change.action, subject=change.subject, body=body))


def _answers_changed(change: Change) -> bool:
    rollout_changed = change.rollout is not None and (
        change.rollout.answers != change.rollout_before.answers
        if change.rollout_before is not None
        else change.rollout.phase.live
    )
    segment_changed = change.segment is not None or change.segment_before is not None
    return rollout_changed or segment_changed or change.flag is not None
