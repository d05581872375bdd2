"""Why things stand as they do: explanations, rounds, alerts, quarantines, and how often the judge was wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import typer
from rich.console import RenderableType
from rich.text import Text

from controller.cli.options import Json
from controller.cli.output import clock_text, emit, filled, show, span_text, table
from controller.cli.remote import remote
from controller.wire.api.approvals import ApprovalView
from controller.wire.api.judging import ErrorsView, ExplainView, QuarantineView, RoundView
from controller.wire.api.rollouts import AlertView

_SPARKS = " ▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 60


def explanation(view: ExplainView) -> Iterator[RenderableType]:
    """The sentence, what is lacking, the evidence over time against its line, the arithmetic, the outlook."""
    yield Text(f"{view.rollout}: {view.verdict}, {view.action}, {clock_text(view.at_ms)}", style="bold")
    yield Text(view.sentence)
    for finding in view.findings[1:]:
        yield Text(f"  also: {finding.sentence}")
    for lack in view.lacking:
        yield Text(f"  lacks {lack.name}: {lack.text}")
    if view.outlook is not None:
        yield Text(f"outlook: {view.outlook.sentence}")
    lines = [line for line in view.lines if any(line.percent)]
    if lines:
        yield Text("")
        made = table("evidence over time", "", ">now", ">most")
        yield filled(
            made, ((f"{x.guard}: {x.stream}", _spark(x.percent), _last(x.percent), _most(x.percent)) for x in lines), ""
        )
    yield Text("")
    yield filled(table("arithmetic", ">"), ((name, str(value)) for name, value in view.arithmetic.items()), "")


def round_table(found: Iterable[RoundView]) -> RenderableType:
    """One line for each round."""
    rows = (
        (
            one.round,
            clock_text(one.started_ms),
            one.started_by or "-",
            one.mode,
            (one.ended_as or "under way").replace("_", " "),
            one.ended_by or "-",
            span_text(one.ended_ms - one.started_ms) if one.ended_ms else "-",
            {None: "-", True: "true", False: "false"}[one.label] if one.decided_ms else "",
        )
        for one in found
    )
    columns = (">round", "started", "by", "mode", "ended", "by", ">after", "label")
    return filled(table(*columns), rows, "it was never started")


def alerts(context: typer.Context, as_json: Json = False) -> None:
    """List what a person should look at now."""
    with remote(context) as api:
        found = api.items("/api/v1/alerts", AlertView)
    if as_json:
        return emit(found)
    rows = ((clock_text(one.since_ms), one.rollout, one.name, one.message) for one in found)
    return show(filled(table("since", "rollout", "alert", "what"), rows, "nothing to look at"))


def quarantines(context: typer.Context, as_json: Json = False) -> None:
    """List application versions that failed; their clients serve the control."""
    with remote(context) as api:
        found = api.items("/api/v1/quarantines", QuarantineView)
    if as_json:
        return emit(found)
    rows = ((q.flag, q.app_version, clock_text(q.since_ms), f"{q.rollout}, round {q.round}", q.message) for q in found)
    return show(filled(table("flag", "version", "since", "failed in", "why"), rows, "no version is in quarantine"))


def judge_errors(context: typer.Context, as_json: Json = False) -> None:
    """Say how often the judge was wrong, by the labels that people gave its rollbacks."""
    with remote(context) as api:
        found = api.get("/api/v1/judge", ErrorsView)
    if as_json:
        return emit(found)
    rate = "-" if found.false_per_100_days is None else f"{found.false_per_100_days:.2f}"
    words = (
        f"{found.rollbacks} rollbacks by the judge in {found.rollout_days:.1f} rollout-days: {found.false_rollbacks} "
        f"labelled false ({rate} per 100 rollout-days), {found.unlabelled} not labelled yet"
    )
    return show(Text(words))


def _spark(values: list[float | None]) -> str:
    step = max(1, -(-len(values) // _SPARK_WIDTH))
    peaks = [max((value or 0) for value in values[at : at + step]) for at in range(0, len(values), step)]
    return "".join(_SPARKS[min(len(_SPARKS) - 1, int(peak / 100 * (len(_SPARKS) - 1) + 0.999))] for peak in peaks)


def _last(values: list[float | None]) -> str:
    return f"{values[-1] or 0:.0f} %"


def _most(values: list[float | None]) -> str:
    return f"{max(value or 0 for value in values):.0f} %"


def approvals(context: typer.Context, as_json: Json = False) -> None:
    """List the stages that need a person's agreement; `canary rollout approve` gives it."""
    with remote(context) as api:
        found = api.items("/api/v1/approvals", ApprovalView)
    if as_json:
        return emit(found)
    rows = (
        (a.rollout, f"{a.share_percent:g} %", a.state, a.started_by, clock_text(a.until_ms), a.otherwise) for a in found
    )
    columns = ("rollout", ">next", "state", "started by", "until", "otherwise")
    return show(filled(table(*columns), rows, "nothing waits for anybody's agreement"))
