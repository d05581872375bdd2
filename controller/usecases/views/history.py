"""What was found, decided and changed, in pages; with all that a replay needs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from controller.domain.errors import Conflict
from controller.domain.rollouts import Rollout
from controller.storage import history, ledger, rollouts
from controller.usecases.views.paging import page
from controller.usecases.views.rollouts import analysis_view, percent
from controller.wire.api import AuditView, DecisionView, LedgerView, Page, SlotView


def decision_page(connection: Connection, rollout: str, after: int, limit: int) -> Page:
    """Decisions on a rollout in order; the cursor is the last one's id."""
    rows = history.decisions_after(connection, rollout, after, limit + 1)
    return page(rows, limit, _decision_view, lambda row: int(row["id"]))


def timeline(connection: Connection, rollout: str, limit: int) -> list[DecisionView]:
    """The last decisions on a rollout, the newest first."""
    return [_decision_view(row) for row in history.newest_decisions(connection, rollout, limit)]


def analysis_page(connection: Connection, rollout: str, after: int, limit: int) -> Page:
    """The judge's words on a rollout's slots in order; the cursor is the last slot's number."""
    rows = ledger.analyses_after(connection, rollout, after, limit + 1)
    return page(rows, limit, analysis_view, lambda row: int(row["seq"]))


def ledger_view(connection: Connection, rollout: Rollout, after: int, limit: int) -> LedgerView:
    """The slots behind a number with their analyses and the constants: what `replay` takes.

    `next_seq` is the number to go on after, or None at the end.

    Raises:
        Conflict: the rollout has not been started, so nothing was judged.
    """
    if rollout.constants is None:
        raise Conflict(f"rollout {rollout.key!r} was never started, so there is nothing to replay", field="rollout")
    analyses = ledger.analyses_after(connection, rollout.key, after, limit + 1)
    kept = analyses[:limit]
    rows = ledger.rows_between(connection, rollout.key, kept[0]["seq"], kept[-1]["seq"]) if kept else {}
    slots = [_slot_view(found, rows.get(found["seq"], ())) for found in kept]
    following = kept[-1]["seq"] if len(analyses) > limit else None
    return LedgerView(rollout.key, rollout.constants, slots, following, rollouts.manifest(rollout))


def audit_page(connection: Connection, before: int, limit: int) -> Page:
    """Audit entries, the newest first; the cursor is the oldest one's id."""
    rows = history.audit_before(connection, before, limit + 1)
    return page(rows, limit, lambda row: AuditView(**row), lambda row: int(row["id"]))


def _decision_view(row: dict[str, Any]) -> DecisionView:
    return DecisionView(
        id=row["id"],
        rollout=row["rollout"],
        at_ms=row["at_ms"],
        actor=row["actor"],
        action=row["action"],
        from_phase=row["from_phase"],
        to_phase=row["to_phase"],
        share_percent=percent(row["weight"]),
        seq=row["seq"],
        reason=row["reason"],
        message=row["message"],
        arithmetic=row["arithmetic"],
    )


def _slot_view(row: dict[str, Any], rows: Any) -> SlotView:
    return SlotView(
        seq=row["seq"],
        closed_ms=row["closed_ms"],
        epoch=row["epoch"],
        stage=row["stage"],
        weight=row["weight"],
        rows=[(found.epoch, found.arm, found.stream, found.failed, found.total) for found in rows],
        open=row["open"],
        verdict=row["verdict"],
        action=row["action"],
        message=row["message"],
        state_digest=row["state_digest"],
        constants_digest=row["constants_digest"],
        circumstances=row["circumstances"],
    )
