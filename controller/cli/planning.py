"""`canary plan`: what a manifest would do at some traffic, before anything is started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from controller.cli.failures import Failed
from controller.cli.manifests import read_manifest
from controller.cli.options import Json
from controller.cli.output import emit, filled, show, span_text, table
from controller.cli.plots import checked_plot, forecast_plot
from controller.domain.durations import parts_of
from controller.domain.errors import Invalid
from controller.domain.guards import PPM
from controller.domain.metrics import UnitKind
from controller.usecases.what_if.forecast import check_traffic, forecast, work
from controller.usecases.what_if.simulation import Effort, Traffic
from controller.wire.api.what_if import DetectionView, ForecastView, StageForecastView
from controller.wire.manifests import plan_of


def plan(  # noqa: PLR0913, PLR0917 - the options of a forecast
    file: Annotated[str, typer.Option("--file", "-f", help="The manifest, YAML or JSON; - reads stdin.")],
    events_per_minute: Annotated[
        float, typer.Option("--events-per-minute", help="Events of all judged types, on both arms together.")
    ],
    control_success: Annotated[
        str, typer.Option("--control-success", help="What the control delivers; a healthy canary is as good.")
    ] = "99.5%",
    events_per_unit: Annotated[
        float | None,
        typer.Option("--events-per-unit", help="Events that one unit causes; by default one of each type."),
    ] = None,
    repetitions: Annotated[int, typer.Option("--repetitions", min=5, max=10_000, help="Of each figure.")] = 40,
    days: Annotated[int, typer.Option("--days", min=1, max=10_000, help="Simulated days of a healthy canary.")] = 40,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same figures.")] = 1,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw it, too: a .png or .svg file.")] = None,
    as_json: Json = False,
) -> None:
    """Tell what a plan would do: time and failures until a rollback, time to promote, false rollbacks, warnings.

    Times are those of the ten-second tick; bad news is looked at sooner.
    """
    picture = checked_plot(plot) if plot else None
    document = read_manifest(file)
    made = plan_of(document.content)
    types = len(made.events)
    per_unit = events_per_unit or (1.0 if made.unit is UnitKind.EVENT else float(types))
    try:
        rate = parts_of(control_success, "--control-success", PPM) / PPM
        traffic = Traffic(events_per_minute, per_unit, rate)
        check_traffic(made, traffic)
    except Invalid as invalid:
        raise Failed(invalid.title, invalid.detail, field=_option(invalid.field)) from None
    effort = Effort(repetitions, days, seed)
    with progress("simulating", work(made, effort)) as done:
        view = forecast(document.content.rollout, made, traffic, Effort(repetitions, days, seed, done))
    if picture:
        forecast_plot(view, picture)
    return emit(view) if as_json else _show(view, picture)


def _option(field: str | None) -> str:
    return "--" + (field or "").removeprefix("--").replace("_", "-")


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while something long is done; nothing where nobody looks."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task(what, total=total)

        def done(_: int) -> None:
            bar.advance(task)

        yield done


def _show(view: ForecastView, picture: Path | None) -> None:
    show(
        Text(
            f"{view.rollout} at {view.events_per_minute:g} events a minute, control {view.control_success_percent:g} %"
        ),
        Text(view.meaning, style="dim"),
        "",
        _false(view),
        "",
        filled(table("stage", ">canary", ">rollback", ">95 % within", ">failed events"), _detections(view), ""),
        "",
        filled(table("stage", ">bake", ">passes after", ">90 % within", ""), map(_stage, view.stages), ""),
        *(Text(f"warning: {warning}", style="bold yellow") for warning in view.warnings),
        *([Text(f"drawn in {picture}", style="dim")] if picture else []),
    )


def _false(view: ForecastView) -> Text:
    return Text(
        f"a canary as good as its control was rolled back in {view.false_rollbacks} of {view.false_days} simulated "
        f"days (promised: at most {view.alpha_percent:g} % of days)"
    )


def _detections(view: ForecastView) -> Iterator[tuple[str, ...]]:
    for one in view.detections:
        failed = "-" if one.failed_events_median is None else f"{one.failed_events_median:,.0f}"
        yield (
            f"{one.share_percent:g} %",
            f"{one.success_percent:g} %",
            _span(one, one.seconds_median),
            _span(one, one.seconds_p95),
            failed,
        )


def _span(one: DetectionView, seconds: float | None) -> str:
    return span_text(round(1000 * seconds)) if seconds is not None else f"not within a day ({one.found} of them)"


def _stage(one: StageForecastView) -> tuple[str, ...]:
    times = (
        "-" if value is None else span_text(round(1000 * value)) for value in (one.seconds_median, one.seconds_p90)
    )
    bake = span_text(round(1000 * one.bake_s))
    return (f"{one.share_percent:g} %", bake, *times, "" if one.judgeable else "cannot be judged")
