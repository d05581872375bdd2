"""The ledger and what the judge made of it: slots, analyses and the judge's memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable, delete, func, insert, select, update

from controller.domain.judge.findings import Analysis
from controller.domain.judge.state import JudgeState, digest_of, state_from
from controller.domain.ledger import LedgerRow, Slot
from controller.storage import upserts
from controller.storage.tables import analyses, judge_states, ledger

#: By these an analysis of an empty slot differs from the one before it.
_SAID = ("epoch", "weight", "gauges", "circumstances", "verdict", "action", "findings", "lacking", "notes")


class Memory(NamedTuple):
    """The judge's memory of a rollout, how often in a row it could not judge, and when it last looked."""

    state: str
    errors: int
    evaluated_ms: int | None


@dataclass(frozen=True, slots=True)
class Judged:
    """One slot with everything that was made of it, ready to be written; `state` is the memory in its stored form."""

    rollout: str
    slot: Slot
    analysis: Analysis
    stage: int
    circumstances: Mapping[str, Any]
    action: str
    message: str
    state: str
    slot_digest: str
    constants_digest: str


def state(connection: Connection, rollout: str) -> JudgeState:
    """The judge's memory of a rollout."""
    text = connection.execute(select(judge_states.c.state).where(judge_states.c.rollout == rollout)).scalar_one()
    return state_from(text)


def remembered(connection: Connection, rollout: str) -> tuple[int, str]:
    """The newest slot that the judge remembers of a rollout, and its memory as it is stored; 0 and empty for none."""
    columns = (judge_states.c.seq, judge_states.c.state)
    row = connection.execute(select(*columns).where(judge_states.c.rollout == rollout)).one_or_none()
    return (int(row.seq), row.state) if row else (0, "")


def memories(connection: Connection, rollouts: Collection[str]) -> dict[str, Memory]:
    """The judge's memory of some rollouts."""
    columns = (judge_states.c[name] for name in ("rollout", "state", "errors", "evaluated_ms"))
    found = connection.execute(select(*columns).where(judge_states.c.rollout.in_(sorted(rollouts))))
    return {rollout: Memory(*rest) for rollout, *rest in found}


def looked_at(connection: Connection, rollouts: Collection[str]) -> dict[str, int | None]:
    """When the judge last looked at some rollouts, without its memory of them, which is much larger."""
    columns = (judge_states.c.rollout, judge_states.c.evaluated_ms)
    found = connection.execute(select(*columns).where(judge_states.c.rollout.in_(sorted(rollouts))))
    return {row.rollout: row.evaluated_ms for row in found}


def begin(connection: Connection, rollout: str, memory: JudgeState) -> None:
    """Begin a round with a fresh memory."""
    connection.execute(delete(judge_states).where(judge_states.c.rollout == rollout))
    connection.execute(insert(judge_states).values(rollout=rollout, seq=memory.seq, state=memory.canonical()))


def keep(connection: Connection, judged: Collection[Judged]) -> None:
    """Write slots, analyses and memories."""
    if not judged:
        return
    rows = [{"rollout": one.rollout, "seq": one.slot.seq, **row._asdict()} for one in judged for row in one.slot.rows]
    if rows:
        connection.execute(insert(ledger), rows)
    memories_after = [
        {
            "rollout": one.rollout,
            "seq": one.slot.seq,
            "state": one.state,
            "evaluated_ms": one.slot.closed_ms,
            "errors": 0,
        }
        for one in judged
    ]
    connection.execute(_memory_upsert(connection.dialect.name), memories_after)
    connection.execute(insert(analyses), [_analysis_row(one) for one in judged])


def is_news(before: Mapping[str, Any] | None, one: Judged) -> bool:
    """Whether a slot says anything that the latest analysis did not; empty ones would fill the database at night.

    A slot without rows changes no evidence, so leaving it out changes no verdict to come.
    """
    if before is None or one.slot.rows:
        return True
    row = _analysis_row(one)
    return any(row[name] != before[name] for name in _SAID)


def touch(connection: Connection, rollouts: Collection[str], now_ms: int) -> None:
    """These were looked at and there was nothing new to write."""
    if rollouts:
        here = judge_states.c.rollout.in_(sorted(rollouts))
        connection.execute(update(judge_states).where(here).values(evaluated_ms=now_ms, errors=0))


def note_error(connection: Connection, rollout: str) -> int:
    """The judge could not judge a rollout; returns how often in a row."""
    grown = update(judge_states).where(judge_states.c.rollout == rollout).values(errors=judge_states.c.errors + 1)
    return int(connection.execute(grown.returning(judge_states.c.errors)).scalar_one_or_none() or 1)


def latest_analyses(connection: Connection, rollouts: Collection[str]) -> dict[str, dict[str, Any]]:
    """The newest analysis of some rollouts, as plain rows by rollout."""
    newest = (
        select(analyses.c.rollout, func.max(analyses.c.seq).label("seq"))
        .where(analyses.c.rollout.in_(sorted(rollouts)))
        .group_by(analyses.c.rollout)
        .subquery()
    )
    joined = analyses.join(newest, (analyses.c.rollout == newest.c.rollout) & (analyses.c.seq == newest.c.seq))
    return {row.rollout: row._asdict() for row in connection.execute(select(analyses).select_from(joined))}


def latest_analysis(connection: Connection, rollout: str) -> dict[str, Any] | None:
    """The newest analysis as a plain row."""
    statement = select(analyses).where(analyses.c.rollout == rollout).order_by(analyses.c.seq.desc()).limit(1)
    row = connection.execute(statement).one_or_none()
    return None if row is None else row._asdict()


def analyses_after(connection: Connection, rollout: str, seq: int, limit: int) -> list[dict[str, Any]]:
    """Analyses behind `seq` in order, as plain rows."""
    statement = select(analyses).where(analyses.c.rollout == rollout, analyses.c.seq > seq)
    return [row._asdict() for row in connection.execute(statement.order_by(analyses.c.seq).limit(limit))]


def evidence_between(connection: Connection, rollout: str, first_seq: int, last_seq: int) -> list[tuple[Any, ...]]:
    """Slot, time and evidence of the analyses from `first_seq` to `last_seq`, in order."""
    columns = (analyses.c.seq, analyses.c.closed_ms, analyses.c.evidence)
    statement = select(*columns).where(analyses.c.rollout == rollout, analyses.c.seq.between(first_seq, last_seq))
    return [tuple(row) for row in connection.execute(statement.order_by(analyses.c.seq))]


def rows_between(connection: Connection, rollout: str, first: int, last: int) -> dict[int, tuple[LedgerRow, ...]]:
    """The ledger's rows of the slots `first` to `last`, by slot."""
    statement = select(ledger).where(ledger.c.rollout == rollout, ledger.c.seq.between(first, last))
    found: dict[int, list[LedgerRow]] = {}
    for row in connection.execute(statement):
        found.setdefault(row.seq, []).append(LedgerRow(row.epoch, row.arm, row.stream, row.failed, row.total))
    return {seq: _sorted(rows) for seq, rows in found.items()}


def traffic(connection: Connection, rollout: str, since_ms: int) -> dict[tuple[str, str], int]:
    """Milli-units by (arm, stream) in the slots closed since a time."""
    joined = ledger.join(analyses, (ledger.c.rollout == analyses.c.rollout) & (ledger.c.seq == analyses.c.seq))
    statement = (
        select(ledger.c.arm, ledger.c.stream, func.sum(ledger.c.total))
        .select_from(joined)
        .where(ledger.c.rollout == rollout, analyses.c.closed_ms >= since_ms)
        .group_by(ledger.c.arm, ledger.c.stream)
    )
    return {(arm, stream): int(total) for arm, stream, total in connection.execute(statement)}


def _sorted(rows: Iterable[LedgerRow]) -> tuple[LedgerRow, ...]:
    return tuple(sorted(rows))


def _analysis_row(one: Judged) -> dict[str, Any]:
    slot, analysis = one.slot, one.analysis
    return {
        "rollout": one.rollout,
        "seq": slot.seq,
        "closed_ms": slot.closed_ms,
        "epoch": slot.epoch,
        "stage": one.stage,
        "weight": slot.weight,
        "gauges": slot.gauges.plain(),
        "circumstances": dict(one.circumstances),
        "verdict": analysis.verdict.value,
        "action": one.action,
        "message": one.message,
        "lacking": [lack.plain() for lack in analysis.lacking],
        "findings": [finding.plain() for finding in analysis.findings],
        "evidence": [evidence.plain() for evidence in analysis.evidence],
        "notes": list(analysis.notes),
        "slot_digest": one.slot_digest,
        "state_digest": digest_of(one.state),
        "constants_digest": one.constants_digest,
    }


@cache
def _memory_upsert(dialect: str) -> Executable:
    insertion = upserts.insert(dialect, judge_states)
    named = {name: insertion.excluded[name] for name in ("seq", "state", "evaluated_ms", "errors")}
    return insertion.on_conflict_do_update(index_elements=[judge_states.c.rollout], set_=named)
