"""The ledger and what the judge made of it: slots, analyses and the judge's memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from controller.domain.judge.findings import Analysis
from controller.domain.judge.state import JudgeState, state_from
from controller.domain.ledger import LedgerRow, Slot
from controller.storage.tables import analyses, judge_states, ledger


def state(connection: Connection, rollout: str) -> JudgeState:
    """The judge's memory of a rollout."""
    text = connection.execute(select(judge_states.c.state).where(judge_states.c.rollout == rollout)).scalar_one()
    return state_from(text)


def keep_state(connection: Connection, rollout: str, memory: JudgeState) -> None:
    """Replace the judge's memory of a rollout."""
    connection.execute(delete(judge_states).where(judge_states.c.rollout == rollout))
    connection.execute(insert(judge_states).values(rollout=rollout, seq=memory.seq, state=memory.canonical()))


def append(connection: Connection, rollout: str, slot: Slot) -> None:
    """Write one slot's rows."""
    if slot.rows:
        connection.execute(insert(ledger), [{"rollout": rollout, "seq": slot.seq, **asdict(row)} for row in slot.rows])


def keep_analysis(connection: Connection, rollout: str, slot: Slot, analysis: Analysis, **said: Any) -> None:
    """Write what the judge and the decision table made of a slot; `said` fills the remaining columns."""
    connection.execute(
        insert(analyses).values(
            rollout=rollout,
            seq=slot.seq,
            closed_ms=slot.closed_ms,
            epoch=slot.epoch,
            open=dict(slot.open),
            verdict=analysis.verdict.value,
            lacking=list(analysis.lacking),
            evidence={name: asdict(evidence) for name, evidence in analysis.evidence.items()},
            **said,
        )
    )


def latest_analysis(connection: Connection, rollout: str) -> dict[str, Any] | None:
    """The newest analysis as a plain row."""
    statement = select(analyses).where(analyses.c.rollout == rollout).order_by(analyses.c.seq.desc()).limit(1)
    row = connection.execute(statement).one_or_none()
    return None if row is None else row._asdict()


def analyses_after(connection: Connection, rollout: str, seq: int, limit: int) -> list[dict[str, Any]]:
    """Analyses behind `seq` in order, as plain rows."""
    statement = select(analyses).where(analyses.c.rollout == rollout, analyses.c.seq > seq)
    return [row._asdict() for row in connection.execute(statement.order_by(analyses.c.seq).limit(limit))]


def rows_between(connection: Connection, rollout: str, first: int, last: int) -> dict[int, tuple[LedgerRow, ...]]:
    """The ledger's rows of the slots `first` to `last`, by slot."""
    statement = select(ledger).where(ledger.c.rollout == rollout, ledger.c.seq.between(first, last))
    found: dict[int, list[LedgerRow]] = {}
    for row in connection.execute(statement):
        found.setdefault(row.seq, []).append(LedgerRow(row.epoch, row.arm, row.stream, row.failed, row.total))
    return {seq: _sorted(rows) for seq, rows in found.items()}


def _sorted(rows: Iterable[LedgerRow]) -> tuple[LedgerRow, ...]:
    return tuple(sorted(rows))
