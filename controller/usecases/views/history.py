"""What was found, decided and changed, in pages; with all that a replay needs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from controller.domain.errors import Conflict
from controller.domain.judge.state import digest_of
from controller.domain.rollouts import Rollout
from controller.storage import constants, history, ledger, retention, rollouts, rounds
from controller.storage.rounds import Round
from controller.usecases.views.paging import page
from controller.usecases.views.rollouts import analysis_view, percent
from controller.wire.api.common import Page
from controller.wire.api.judging import DecisionView, ErrorsView, LedgerView, RoundView, SlotView
from controller.wire.api.rollouts import AnalysisView


def decision_page(connection: Connection, rollout: str, after: int, limit: int, action: str = "") -> Page[DecisionView]:
    """Decisions on a rollout in order, all or those of one kind; the cursor is the last one's id."""
    rows = history.decisions_after(connection, rollout, after, limit + 1, action)
    return page(rows, limit, _decision_view, lambda row: int(row["id"]))


def timeline(connection: Connection, rollout: str, limit: int) -> list[DecisionView]:
    """The last decisions on a rollout, the newest first."""
    return [_decision_view(row) for row in history.newest_decisions(connection, rollout, limit)]


def analysis_page(connection: Connection, rollout: str, after: int, limit: int) -> Page[AnalysisView]:
    """The judge's words on a rollout's slots in order; the cursor is the last slot's number."""
    rows = ledger.analyses_after(connection, rollout, after, limit + 1)
    return page(rows, limit, lambda row: analysis_view(connection, row), lambda row: int(row["seq"]))


def ledger_view(connection: Connection, rollout: Rollout, after: int, limit: int) -> LedgerView:
    """The slots behind a number with their analyses and the rounds' constants: what `replay` takes.

    `next_seq` is the number to go on after, or None at the end. What retention has deleted is left out, and said so.

    Raises:
        Conflict: the rollout has not been started, so nothing was judged.
    """
    known = round_views(connection, rollout.key, with_constants=True)
    if not known:
        raise Conflict(f"rollout {rollout.key!r} was never started, so there is nothing to replay", field="rollout")
    purged, purged_ms = retention.purged_through(connection, rollout.key) or (0, None)
    analyses = ledger.analyses_after(connection, rollout.key, max(after, purged), limit + 1)
    kept = analyses[:limit]
    rows = ledger.rows_between(connection, rollout.key, kept[0]["seq"], kept[-1]["seq"]) if kept else {}
    slots = [_slot_view(found, rows.get(found["seq"], ())) for found in kept]
    following = kept[-1]["seq"] if len(analyses) > limit else None
    seq, memory = ledger.remembered(connection, rollout.key)
    return LedgerView(
        rollout.key,
        known,
        slots,
        following,
        rollouts.manifest(rollout),
        seq,
        digest_of(memory) if memory else "",
        purged_through=purged,
        purged_ms=purged_ms,
    )


def round_views(connection: Connection, rollout: str, *, with_constants: bool = False) -> list[RoundView]:
    """The rounds of a rollout; with their constants in canonical form, or else with the digest."""
    return [_round_view(connection, one, with_constants) for one in rounds.of_rollout(connection, rollout)]


def errors_view(connection: Connection, now_ms: int) -> ErrorsView:
    """How often the judge was wrong so far, by what people said."""
    found = rounds.errors(connection, now_ms)
    days = found.live_ms / 86_400_000
    return ErrorsView(found.rollbacks, found.false, found.unlabelled, days, found.false_per_100_days)


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
    same = {name: row[name] for name in SlotView.__struct_fields__ if name != "rows"}
    return SlotView(**same, rows=[tuple(found) for found in rows])


def _round_view(connection: Connection, one: Round, with_constants: bool) -> RoundView:
    same = {name: getattr(one, name) for name in RoundView.__struct_fields__}
    if with_constants:
        same["constants"] = constants.canonical(connection, one.constants)
    return RoundView(**same)
