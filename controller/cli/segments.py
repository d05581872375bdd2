"""`canary segment`: conditions with a name, shared by the rules of any flags."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from controller.cli.failures import Failed
from controller.cli.options import File, IfVersion, Json, Reason, SegmentKey
from controller.cli.output import clock_text, emit, filled, show, table
from controller.cli.remote import remote
from controller.cli.targeting import read_condition
from controller.wire.api.flags import SegmentBody, SegmentPatch, SegmentView
from controller.wire.phrases import condition_text

app = typer.Typer(no_args_is_help=True, help="Segments: conditions with a name, shared by the rules of any flags.")

Description = Annotated[str, typer.Option("--description", help="Who they are.")]


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List all segments."""
    with remote(context) as api:
        found = api.items("/api/v1/segments", SegmentView)
    if as_json:
        return emit(found)
    rows = ((s.key, condition_text(s.when), ", ".join(s.flags) or "-", s.version) for s in found)
    return show(filled(table("segment", "who", "named by", ">version"), rows, "no segments yet"))


@app.command("show")
def show_(context: typer.Context, key: SegmentKey, as_json: Json = False) -> None:
    """Show one segment."""
    with remote(context) as api:
        found = api.get(_path(key), SegmentView)
    _tell(found, as_json=as_json)


@app.command()
def create(
    context: typer.Context, *, key: SegmentKey, file: File, description: Description = "", as_json: Json = False
) -> None:
    """Create a segment from a condition in a file."""
    document = read_condition(file)
    with remote(context) as api:
        try:
            made = api.post("/api/v1/segments", SegmentBody(key, document.content, description), SegmentView)
        except Failed as failed:
            raise document.placed(failed, within="when") from None
    _tell(made, as_json=as_json)


@app.command("set")
def set_(  # noqa: PLR0913 - the options of a command line
    context: typer.Context,
    *,
    key: SegmentKey,
    file: Annotated[str | None, typer.Option("--file", "-f", help="The new condition; `-` reads stdin.")] = None,
    description: Annotated[str | None, typer.Option("--description", help="Who they are.")] = None,
    reason: Reason = "",
    version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Change a segment's condition or description."""
    if file is None and description is None:
        raise typer.BadParameter("nothing to set: give --file or --description")
    document = read_condition(file) if file is not None else None
    with remote(context) as api:
        read_at = version or api.get(_path(key), SegmentView).version
        when = document.content if document is not None else None
        try:
            changed = api.patch(_path(key), SegmentPatch(read_at, when, description, reason), SegmentView)
        except Failed as failed:
            raise document.placed(failed, within="when") if document is not None else failed from None
    _tell(changed, as_json=as_json)


@app.command()
def remove(context: typer.Context, key: SegmentKey, version: IfVersion = None) -> None:
    """Remove a segment that no flag names."""
    with remote(context) as api:
        read_at = version or api.get(_path(key), SegmentView).version
        api.delete(f"{_path(key)}?version={read_at}")
    typer.echo(f"segment {key}: removed")


def _path(key: str) -> str:
    return f"/api/v1/segments/{quote(key, safe='')}"


def _tell(segment: SegmentView, *, as_json: bool) -> None:
    if as_json:
        return emit(segment)
    facts: list[tuple[str, object]] = [
        ("segment", segment.key),
        ("who", condition_text(segment.when)),
        ("named by", ", ".join(segment.flags) or "no flag"),
        ("version", f"{segment.version}, of {clock_text(segment.updated_ms)}"),
    ]
    facts += [("about", segment.description)] if segment.description else []
    return show(filled(table("", ""), facts, ""))
