"""Why a rollout stands where it stands: the sentence, its arithmetic, the evidence over time, what would settle it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from controller.domain.errors import Conflict
from controller.domain.explain import arithmetic
from controller.domain.judge.constants import Constants, UnknownConstants
from controller.domain.judge.findings import Effect, Evidence, Finding, Rule
from controller.domain.outcomes import Arm
from controller.domain.outlook import Outlook, outlook
from controller.domain.rollouts import Rollout
from controller.domain.tallies import UNIT
from controller.storage import constants, ledger, rounds
from controller.usecases.views.rollouts import analysis_view
from controller.wire.api.judging import EvidenceLine, ExplainView, OutlookView

#: Points of the evidence line; a longer time is drawn through every n-th slot, and always the worst of those between.
_MOST_POINTS = 240
#: Slots that a page's evidence line is drawn from: six hours without a pause.
_MOST_SLOTS = 2_160
_HOUR_MS = 3_600_000


def explain_view(connection: Connection, rollout: Rollout, now_ms: int) -> ExplainView:
    """Explain the latest analysis of a rollout.

    Raises:
        Conflict: nothing has been judged yet.
    """
    row = ledger.latest_analysis(connection, rollout.key)
    last = rounds.latest(connection, rollout.key)
    if row is None or last is None or row["seq"] < last.first_seq:
        raise Conflict(f"rollout {rollout.key!r} has not been judged yet", field="rollout")
    try:
        frozen = constants.get(connection, last.constants)
    except UnknownConstants as error:
        raise Conflict(f"what {rollout.key!r} was judged by cannot be read: {error}", field="rollout") from None
    view = analysis_view(connection, row)
    times, lines = _lines(ledger.evidence_between(connection, rollout.key, last.first_seq, row["seq"]))
    worst = row["findings"][0] if row["findings"] else None
    return ExplainView(
        rollout=rollout.key,
        at_ms=view.at_ms,
        verdict=view.verdict,
        action=view.action,
        sentence=view.message,
        arithmetic=_arithmetic(frozen, worst),
        lacking=view.lacking,
        findings=view.findings,
        evidence=view.evidence,
        notes=view.notes,
        outlook=_outlook(connection, rollout, frozen, now_ms) if rollout.phase.live else None,
        times=times,
        lines=lines,
    )


def outlook_view(connection: Connection, rollout: Rollout, now_ms: int) -> OutlookView | None:
    """What would settle the present stage; None while nothing has been judged, or what it is judged by is lost."""
    last = rounds.latest(connection, rollout.key)
    if not rollout.phase.live or last is None:
        return None
    try:
        return _outlook(connection, rollout, constants.get(connection, last.constants), now_ms)
    except UnknownConstants:
        return None


def evidence_lines(connection: Connection, rollout: Rollout) -> tuple[list[int], list[EvidenceLine]]:
    """The evidence of the present (or last) round over its newest slots: times in seconds, and one line per stream."""
    last = rounds.latest(connection, rollout.key)
    newest = ledger.latest_analyses(connection, [rollout.key]).get(rollout.key)
    if last is None or newest is None:
        return [], []
    first = max(last.first_seq, newest["seq"] - _MOST_SLOTS)
    return _lines(ledger.evidence_between(connection, rollout.key, first, newest["seq"]))


def _arithmetic(frozen: Constants, worst: dict[str, Any] | None) -> dict[str, Any]:
    if worst is None:
        return {"constants": frozen.digest(), "alpha_ppm": frozen.alpha_ppm}
    finding = Finding(**{**worst, "rule": Rule(worst["rule"]), "effect": Effect(worst["effect"])})
    return arithmetic(frozen, finding)


def _outlook(connection: Connection, rollout: Rollout, frozen: Constants, now_ms: int) -> OutlookView:
    since_ms = max(now_ms - _HOUR_MS, rollout.stage_started_ms or 0)
    minutes = max(1 / 6, (now_ms - since_ms) / 60_000)
    traffic = ledger.traffic(connection, rollout.key, since_ms)
    per_minute = {stream: total / UNIT / minutes for (arm, stream), total in traffic.items() if arm == Arm.CANARY}
    found = outlook(frozen, ledger.state(connection, rollout.key), per_minute)
    expected_ms = None if found.minutes is None else now_ms + round(60_000 * found.minutes)
    words = _words(found)
    return OutlookView(found.failures, found.failing_stream, found.successes, found.waits_for, expected_ms, words)


def _words(found: Outlook) -> str:
    bad = f"{found.failures} more failed unit(s) in {found.failing_stream} would convict"
    if found.successes == 0:
        return f"the stage's evidence is complete; {bad}"
    if found.successes is None:
        return f"no number of units would prove the stage any more, with the failures there are; {bad}"
    where = "over all event types (comparison with the control)" if found.waits_for == "comparison" else found.waits_for
    when = "without traffic there is no telling when" if found.minutes is None else f"in about {_span(found.minutes)}"
    return f"{found.successes:,} more units without a failure, {where}, would prove the stage, {when}; {bad}"


def _span(minutes: float) -> str:
    if minutes < 90:
        return f"{minutes:.0f} min" if minutes >= 1 else "a minute"
    return f"{minutes / 60:.1f} h" if minutes < 2_880 else f"{minutes / 1440:.1f} d"


def _lines(rows: list[tuple[Any, ...]]) -> tuple[list[int], list[EvidenceLine]]:
    """Each point stands for a few slots and shows the most evidence among them: a peak is never lost."""
    step = max(1, -(-len(rows) // _MOST_POINTS))
    groups = [rows[at : at + step] for at in range(0, len(rows), step)]
    peaks: list[dict[tuple[str, str], float]] = []
    for group in groups:
        peak: dict[tuple[str, str], float] = {}
        for _, _, stored in group:
            for evidence in (Evidence(**one) for one in stored):
                name = (evidence.guard, evidence.stream)
                peak[name] = max(peak.get(name, 0.0), evidence.permille_of_line / 10)
        peaks.append(peak)
    names = dict.fromkeys(name for peak in peaks for name in peak)
    lines = [EvidenceLine(guard, stream, [p.get((guard, stream)) for p in peaks]) for guard, stream in names]
    return [group[-1][1] // 1000 for group in groups], lines
