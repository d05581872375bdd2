"""Plots as PNG or SVG files, drawn without a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.cli.failures import Failed
from controller.wire.api.judging import DecisionView, ExplainView, SeriesView
from controller.wire.api.what_if import BacktestView, ForecastView

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SUFFIXES = (".png", ".svg")
_CONTROL, _CANARY, _LINE, _ACT = "#4878a8", "#d1762c", "#b02a2a", "#555555"
_WIDTH, _HEIGHT = 9.0, 4.2


def checked_plot(path: Path) -> Path:
    """A file that a plot can be written to, as far as one can tell before the work is done.

    Raises:
        Failed: its name does not say PNG or SVG, or its folder is not there.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise Failed(f"{path} is no plot", "name it .png or .svg", field="--plot")
    if not path.parent.is_dir():
        raise Failed(f"{path} cannot be written", f"there is no folder {path.parent}", field="--plot")
    return path


def forecast_plot(view: ForecastView, path: Path) -> None:
    """Time to rollback by success rate, a line for each stage, and the time that each stage takes."""
    with _drawing(path, columns=2) as (left, right):
        for share in dict.fromkeys(one.share_percent for one in view.detections):
            found = [
                (one.success_percent, one.seconds_median)
                for one in view.detections
                if one.share_percent == share and one.seconds_median is not None
            ]
            rates, seconds = [rate for rate, _ in found], [median for _, median in found]
            left.plot(rates, seconds, marker="o", label=f"{share:g} % of the users")
        left.set(xlabel="the canary delivers, per cent", ylabel="median seconds to rollback", yscale="log")
        left.legend(frameon=False)
        names = [f"{one.share_percent:g} %" for one in view.stages]
        right.bar(names, [(one.seconds_median or 0) / 60 for one in view.stages], color=_CONTROL)
        right.bar(names, [one.bake_s / 60 for one in view.stages], color=_CANARY, width=0.4)
        right.set(xlabel="stage", ylabel="minutes until it passes (narrow: bake time)")
        for at, one in enumerate(view.stages):
            if not one.judgeable:
                right.annotate("not judgeable", (at, 0), ha="center", va="bottom", rotation=90, color=_LINE)


def backtest_plot(view: BacktestView, path: Path) -> None:
    """Evidence over time under both policies, with the moments at which they acted."""
    with _drawing(path) as (axes,):
        axes.xaxis_date()
        axes.plot(_times(view.times), view.recorded, color=_CONTROL, label="as recorded")
        axes.plot(_times(view.times), view.backtested, color=_CANARY, label="under this policy")
        axes.axhline(100, color=_LINE, linewidth=1)
        for at_ms, color, name in (
            (view.acted_ms, _CONTROL, "was rolled back"),
            (view.would_ms, _CANARY, f"would {view.would_action or 'act'}"),
        ):
            if at_ms is not None:
                axes.axvline(_time(at_ms), color=color, linestyle="--", linewidth=1, label=name)
        axes.set(ylabel="evidence, per cent of its line", title=view.rollout)
        axes.legend(frameon=False)


def evidence_plot(view: ExplainView, decisions: Sequence[DecisionView], path: Path) -> None:
    """The evidence of every stream that had any, against its line, with what was decided."""
    with _drawing(path) as (axes,):
        times = [_time(1000 * at) for at in view.times]
        for line in view.lines:
            if any(value for value in line.percent):
                axes.plot(times, [value or 0 for value in line.percent], label=f"{line.guard}: {line.stream}")
        axes.axhline(100, color=_LINE, linewidth=1)
        _mark(axes, decisions)
        axes.set(ylabel="evidence, per cent of its line", title="Evidence against the canary (100 % convicts)")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)


def success_plot(view: SeriesView, decisions: Sequence[DecisionView], path: Path) -> None:
    """The success of both arms over time, all events, with the 95 % line."""
    with _drawing(path) as (axes,):
        times = [_time(1000 * at) for at in view.times]
        for line in view.series:
            canary = line.get("arm") == "canary"
            style: dict[str, Any] = {"color": _CANARY if canary else _CONTROL, "alpha": 0.9 if canary else 0.5}
            axes.plot(times, line["values"], linewidth=1, **style)
        axes.plot([], [], color=_CANARY, label="canary, each event")
        axes.plot([], [], color=_CONTROL, label="control, each event")
        if view.line is not None:
            axes.axhline(view.line, color=_LINE, linewidth=1, label=f"{view.line:g} %")
        _mark(axes, decisions)
        axes.set(ylabel="delivered, per cent", title="Success of both arms")
        axes.legend(frameon=False, fontsize=8)


def _mark(axes: Axes, decisions: Sequence[DecisionView]) -> None:
    axes.xaxis_date()
    low, high = axes.get_xlim()
    for decision in decisions:
        at = _time(decision.at_ms)
        if low <= at <= high:
            axes.axvline(at, color=_ACT, linestyle=":", linewidth=1)
            where = ("data", "axes fraction")
            axes.annotate(decision.action, (at, 1), xycoords=where, fontsize=7, rotation=90, va="top")


@contextmanager
def _drawing(path: Path, columns: int = 1) -> Iterator[Sequence[Axes]]:
    """Axes to draw on, written to the file at the end; fonts, sizes and metadata are the same on every machine."""
    from matplotlib import rc_context  # noqa: PLC0415 - half a second that only those pay who want a plot
    from matplotlib.figure import Figure  # noqa: PLC0415

    with rc_context({"svg.hashsalt": "canary", "svg.fonttype": "none", "axes.spines.top": False}):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        found = figure.subplots(1, columns, squeeze=False)[0]
        yield list(found)
        try:
            figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None, dpi=120)
        except OSError as error:
            raise Failed(f"{path} cannot be written", error.strerror or str(error)) from None


def _times(stamps: Sequence[int]) -> list[float]:
    return [_time(at) for at in stamps]


def _time(at_ms: int) -> float:
    """Days since the epoch: what a date axis counts in, always in UTC."""
    return at_ms / 86_400_000
