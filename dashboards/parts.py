# ruff: noqa: INP001 - beside the scripts that use it, no package
"""Panels as this project draws them; the JSON's schema is Grafana's own, by its foundation SDK."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

WIDTH = 24
GREEN, AMBER, RED, BLUE, GREY = "green", "orange", "red", "blue", "text"
#: Colours from a value upwards; the first has no lower limit.
Steps = tuple[tuple[float | None, str], ...]
PLAIN: Steps = ((None, BLUE),)
BAD_ABOVE_ZERO: Steps = ((None, GREEN), (0.000001, RED))


@dataclass(frozen=True)
class Panel:
    """One picture: its queries are expressions by legend.

    Attributes:
        why: what a reader should make of it.
        line: where a dashed line is drawn, because something happens there.
    """

    title: str
    why: str
    queries: dict[str, str]
    kind: str = "graph"
    unit: str = "short"
    steps: Steps = PLAIN
    line: float | None = None
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Board:
    """One dashboard: rows of panels under headings, each row with its height."""

    uid: str
    title: str
    why: str
    rows: list[tuple[str, int, list[Panel]]]
    variables: list[tuple[str, str, str]] = field(default_factory=list)
    marks: str = ""


def text_of(board: Board) -> str:
    """The file's content."""
    return JSONEncoder(sort_keys=True, indent=1).encode(_built(board)) + "\n"


def _source() -> models.DataSourceRef:
    return models.DataSourceRef(type_val="prometheus", uid="prometheus")


def _built(board: Board) -> Any:
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.why)
        .tags(["canary"])
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .readonly()
    )
    for name, label, query in board.variables:
        made = made.with_variable(_variable(name, label, query))
    if board.marks:
        made = made.annotation(_Marks(board.marks))
    top, numbers = 0, count(1)
    for heading, height, panels in board.rows:
        made = made.with_row(
            dashboard.Row(heading).id(next(numbers)).grid_pos(models.GridPos(x=0, y=top, w=WIDTH, h=1))
        )
        top += 1
        for at, panel in enumerate(panels):
            left, right = (WIDTH * edge // len(panels) for edge in (at, at + 1))
            place = models.GridPos(x=left, y=top, w=right - left, h=height)
            made = made.with_panel(_panel(panel).id(next(numbers)).grid_pos(place))
        top += height
    return made.build()


def _panel(panel: Panel) -> Any:
    made = _stat(panel) if panel.kind == "stat" else _graph(panel)
    made = made.title(panel.title).description(panel.why).datasource(_source()).unit(panel.unit)
    if panel.least is not None:
        made = made.min(panel.least)
    if panel.most is not None:
        made = made.max(panel.most)
    for at, (legend, expression) in enumerate(panel.queries.items()):
        query = prometheus.Dataquery().ref_id(chr(65 + at)).expr(expression).legend_format(legend).range()
        made = made.with_target(query.exemplar(panel.kind == "graph").datasource(_source()))
    return made


def _stat(panel: Panel) -> Any:
    return (
        stat.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(common_models.BigValueColorMode.BACKGROUND)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .thresholds(_steps(panel.steps))
    )


def _graph(panel: Panel) -> Any:
    made = (
        timeseries.Panel()
        .line_width(2)
        .fill_opacity(0)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
    )
    if panel.line is None:
        return made
    dashed = common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
    return made.thresholds(_steps(((None, RED), (panel.line, RED)))).thresholds_style(dashed)


def _steps(steps: Steps) -> dashboard.ThresholdsConfig:
    found = [models.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(_source())
        .query({"query": query, "refId": name})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)
        .multi(True)
        .all_value(".*")
        .current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


class _Marks:
    """Marks on every graph where a rollout changed, with a title of their own, which the SDK has no field for."""

    def __init__(self, expression: str) -> None:
        self._expression = expression

    def build(self) -> Any:
        """The annotation."""
        return _Titled(name="Decisions", datasource=_source(), icon_color=AMBER, expr=self._expression)


class _Titled(models.AnnotationQuery):
    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), "titleFormat": "{{rollout}}: {{action}}", "step": "15s"}
