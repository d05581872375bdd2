"""`canary rollout report`: the page that is written after an incident, with its plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.failures import Failed
from controller.cli.ledgers import fetched
from controller.cli.options import RolloutKey
from controller.cli.output import span_text
from controller.cli.plots import evidence_plot, success_plot
from controller.cli.remote import Remote, remote, rollout_path
from controller.cli.replaying import Report, recomputed
from controller.domain.durations import moment_text
from controller.wire.api.common import Page
from controller.wire.api.judging import DecisionView, ExplainView, ImpactView, RoundView, SeriesView
from controller.wire.api.rollouts import AlertView, RolloutView


@dataclass(frozen=True, slots=True)
class _Facts:
    """Everything that the page tells, read from the controller at one time."""

    view: RolloutView
    round: RoundView
    explained: ExplainView
    decisions: list[DecisionView]
    alerts: list[AlertView]
    impact: ImpactView
    series: SeriesView
    replay: Report


def report(
    context: typer.Context,
    key: RolloutKey,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A new or empty folder for report.md and its plots.")
    ] = Path(),
) -> None:
    """Write what happened as a page: timeline, times, whom it harmed, evidence, decisions, replay hash."""
    folder = out if out != Path() else Path(f"{key}-report")
    _prepare(folder)
    with remote(context) as api:
        facts = _read(api, key)
    evidence_plot(facts.explained, facts.decisions, folder / "evidence.svg")
    success_plot(facts.series, facts.decisions, folder / "success.svg")
    page = folder / "report.md"
    page.write_text("\n".join(_page(facts)) + "\n", encoding="utf-8")
    typer.echo(f"{page}: {len(facts.decisions)} decisions, replay hash {facts.replay.digest}")


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"{folder} cannot be made", error.strerror or str(error)) from None
    if any(folder.iterdir()):
        raise Failed(f"{folder} is not empty", "name another folder with --out")


def _read(api: Remote, key: str) -> _Facts:
    rounds = api.items(rollout_path(key, "rounds"), RoundView)
    if not rounds:
        raise Failed(f"{key} was never started", "there is nothing to report")
    last = rounds[-1]
    view = api.get(rollout_path(key), RolloutView)
    decisions = api.items(rollout_path(key, "decisions"), DecisionView)
    impact = api.get(rollout_path(key, "impact"), ImpactView, from_ms=last.started_ms)
    return _Facts(
        view,
        last,
        api.get(rollout_path(key, "explain"), ExplainView),
        [one for one in decisions if one.at_ms >= last.started_ms],
        [one for one in _alerts(api, key) if one.since_ms >= last.started_ms],
        impact,
        api.get(rollout_path(key, "series"), SeriesView),
        recomputed(fetched(api, key)),
    )


def _alerts(api: Remote, key: str) -> list[AlertView]:
    page = api.get(rollout_path(key, "alerts"), Page, limit=200)
    return [AlertView(**item) for item in page.items]


def _page(facts: _Facts) -> Iterator[str]:
    view, last = facts.view, facts.round
    yield f"# {view.key}: {view.phase.replace('_', ' ')}"
    yield ""
    yield f"Flag `{view.flag}`, from {view.control} (control) to {view.canary} (canary), round {last.round}. " + (
        f"Started {moment_text(last.started_ms)} by {last.started_by or 'somebody'}"
        + (f", ended {moment_text(last.ended_ms)} by {last.ended_by}." if last.ended_ms else ", not over yet.")
    )
    yield ""
    yield f"> {_cell(facts.explained.sentence)}"
    yield from _section("The four times", _times(facts))
    yield from _section("Whom it harmed", _harm(facts.impact))
    yield from _section("Timeline", _timeline(facts))
    yield from _section("Evidence against its line", ["![Evidence against its line](evidence.svg)"])
    yield from _section("Success of both arms", ["![Success of both arms](success.svg)"])
    yield from _section("Decisions and their arithmetic", _arithmetic(facts.decisions))
    yield from _section("Replay", _replay(facts.replay))


def _section(title: str, lines: Sequence[str] | Iterator[str]) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield from lines


def _times(facts: _Facts) -> Iterator[str]:
    found, last = facts.view.verification, facts.round
    if last.decided_ms is None:
        yield "It was not rolled back."
        return
    times = [
        ("detected", last.detected_ms),
        ("decided", last.decided_ms),
        ("applied by the first client instance", found.first_applied_ms if found else None),
        ("applied by the last client instance", found.last_applied_ms if found else None),
        ("last canary exposure", found.last_exposure_ms if found else None),
        ("verified", last.verified_ms),
    ]
    yield "| | time | after detection |"
    yield "|---|---|---|"
    for name, at_ms in times:
        if at_ms is None:
            yield f"| {name} | not known | |"
        else:
            sign = "-" if at_ms < (last.detected_ms or at_ms) else "+"
            yield f"| {name} | {moment_text(at_ms)} | {sign}{span_text(abs(at_ms - (last.detected_ms or at_ms)))} |"
    if found:
        yield ""
        yield f"Rollback {found.sentence}."
    if last.label is not None:
        yield f"Labelled {'true' if last.label else 'false'} by {last.labelled_by}: {_cell(last.label_reason) or '-'}."


def _harm(impact: ImpactView) -> Iterator[str]:
    yield (
        f"{impact.failed:,} canary events failed, of {impact.failed_users:,} users; {impact.delivered:,} were "
        "delivered."
    )
    yield ""
    yield "| event | delivered | failed | abandoned | interrupted |"
    yield "|---|---:|---:|---:|---:|"
    for one in impact.events:
        counts = (one.delivered, one.failed, one.abandoned, one.interrupted)
        yield f"| {_cell(one.event_type)} | " + " | ".join(f"{count:,}" for count in counts) + " |"


def _timeline(facts: _Facts) -> Iterator[str]:
    entries = [(one.at_ms, f"{one.actor}: {one.action}", one.message) for one in facts.decisions]
    entries += [(one.since_ms, f"alert: {one.name}", one.message) for one in facts.alerts]
    yield "| time | what | why |"
    yield "|---|---|---|"
    for at_ms, what, why in sorted(entries):
        yield f"| {moment_text(at_ms)} | {_cell(what)} | {_cell(why)} |"


def _arithmetic(decisions: Sequence[DecisionView]) -> Iterator[str]:
    shown = [one for one in decisions if one.arithmetic]
    if not shown:
        yield "No decision rests on a finding."
    for one in shown:
        yield f"**{moment_text(one.at_ms)}, {one.action}** (slot {one.seq}): {_cell(one.message)}"
        yield ""
        yield from (f"- {name}: {value}" for name, value in one.arithmetic.items() if value not in ("", 0, False))
        yield ""


def _replay(report: Report) -> Iterator[str]:
    if report.differing:
        yield f"{report.differing:,} of {report.analyses:,} analyses differ: {_cell(report.first_difference)}"
        return
    done = f"{report.analyses:,} analyses and {report.decisions:,} decisions"
    yield f"{done} were recomputed from the stored numbers, all bit for bit as recorded."
    yield f"Replay hash: `{report.digest}` (`canary replay {report.rollout}` gives it again)."


def _cell(text: str) -> str:
    """Text that stays inside a table cell or a paragraph, whatever people wrote."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
