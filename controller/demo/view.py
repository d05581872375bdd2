"""The story on a terminal, as it happens."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from controller.domain.durations import duration_text
from controller.wire.api.rollouts import EventHealth, RolloutView, StreamView

_BAR = 40
_SHOWN = 9


def screen(title: str, view: RolloutView | None, crowd: dict[str, int], moments: Sequence[str]) -> RenderableType:
    """Everything on one screen: shares, health of both arms, evidence, verdict, rollback, timeline."""
    parts: list[RenderableType] = [Text(title, style="bold")]
    if crowd:
        online = f"{crowd['online']} users online, {crowd['users']} so far, {crowd['events']:,} events received"
        parts.append(Text(online, style="dim"))
    if view is not None:
        parts += [_share(view), _health(view.health), _evidence(view)]
        parts += [_rollback(view)] if view.verification is not None else []
    parts.append(Panel("\n".join(moments[-_SHOWN:]) or " ", title="so far", title_align="left"))
    return Group(*parts)


def _share(view: RolloutView) -> RenderableType:
    filled = round(view.share_percent * _BAR / 100)
    bar = Text("canary ") + Text("█" * filled, style="yellow") + Text("░" * (_BAR - filled), style="dim")
    stage = f"  {view.share_percent:g} %  stage {view.stage + 1} of {len(view.stages)}  {view.phase}"
    if view.bake_left_ms:
        stage += f"  (baking, {duration_text(view.bake_left_ms // 1000 * 1000)} left)"
    return bar + Text(stage, style="bold")


def _health(health: Sequence[EventHealth]) -> RenderableType:
    table = Table(box=None, padding=(0, 2), title="delivered since the start (95 % is the line)", title_justify="left")
    for name, justify in (("event", "left"), ("legacy", "right"), ("unified", "right"), ("unified failed", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for event in dict.fromkeys(row.event_type for row in health):
        arms = {row.arm: row for row in health if row.event_type == event}
        canary = arms.get("canary")
        failed = f"{canary.failed} of {canary.delivered + canary.failed}" if canary else "-"
        table.add_row(event, _rate(arms.get("control")), _rate(canary), failed)
    return table


def _rate(row: EventHealth | None) -> Text:
    if row is None or row.success_percent is None:
        return Text("-", style="dim")
    return Text(f"{row.success_percent:.1f} %", style="green" if row.success_percent >= 95 else "bold red")


def _evidence(view: RolloutView) -> RenderableType:
    if view.analysis is None:
        return Text("no evidence yet", style="dim")
    table = Table(box=None, padding=(0, 2), title="evidence against the canary (100 % convicts)", title_justify="left")
    table.add_column("stream")
    table.add_column("")
    table.add_column("", justify="right")
    for row in view.analysis.evidence:
        if not row.failed_milli_units and row.guard not in {guard.name for guard in view.guards}:
            continue  # what is always watched is shown when there is something to see
        table.add_row(row.stream, _bar(row), f"{row.percent_of_line:.0f} %")
    return Group(table, Text(f"{view.analysis.verdict}: {view.analysis.message}", style="italic"))


def _bar(row: StreamView) -> Text:
    filled = max(0, min(_BAR, round(row.percent_of_line * _BAR / 100)))
    style = "red" if row.percent_of_line >= 100 else "yellow" if row.percent_of_line >= 60 else "green"
    return Text("█" * filled, style=style) + Text("·" * (_BAR - filled), style="dim")


def _rollback(view: RolloutView) -> RenderableType:
    found = view.verification
    if found is None:
        return Text("")
    style = "bold green" if found.complete else "bold red"
    missing = ", ".join(f"{m['instance']} ({m['why']})" for m in found.missing)
    text = f"rollback {found.sentence}; canary runs left: {found.open_runs}"
    return Text(text + (f"; missing: {missing}" if missing else ""), style=style)
