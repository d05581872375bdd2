"""What commands write: JSON for programs, tables and sentences for people, all of it on stdout."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

#: Tables that go into a file or a pipe are not cut to some terminal's width.
_PIPE_WIDTH = 2_000


def emit(value: object) -> None:
    """The machine form: one indented JSON document."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def emit_line(value: object) -> None:
    """The machine form of one of many: a JSON document on a line of its own."""
    typer.echo(msgspec.json.encode(value))


def console() -> Console:
    """A console on stdout that takes all text literally: keys and reasons may hold square brackets."""
    found = Console(markup=False, highlight=False, emoji=False)
    if not found.is_terminal:
        found.width = _PIPE_WIDTH
    return found


def show(*parts: RenderableType) -> None:
    """Write for people."""
    out = console()
    for part in parts:
        out.print(part)


def table(*columns: str) -> Table:
    """An empty table; columns that begin with `>` hold figures and are set to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for name in columns:
        made.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left")
    return made


def filled(made: Table, rows: Iterable[Iterable[object]], empty: str) -> RenderableType:
    """The table with its rows, or the words `empty` in its place."""
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return made if made.row_count else Text(empty, style="dim")


def clock_text(ms: int | None, *, day: bool = True) -> str:
    """A moment in this machine's time zone; a dash for one that has not come."""
    if ms is None:
        return "-"
    moment = datetime.fromtimestamp(ms / 1000, UTC).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S")


def span_text(ms: int) -> str:
    """A stretch of time for people: `4.2 s`, `3 min 20 s`, `2 h 05 min`."""
    seconds = max(0, ms) / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def percent(value: float | None) -> str:
    """A percentage for people; a dash where there is none."""
    return "-" if value is None else f"{value:g} %"
