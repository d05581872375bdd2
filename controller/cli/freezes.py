"""`canary freeze`: windows in which nothing starts or grows, and every rollback works."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer
from rich.text import Text

from controller.cli.completing import keys_of
from controller.cli.moments import moment_ms
from controller.cli.options import IfVersion, Json, Reason
from controller.cli.output import clock_text, emit, filled, show, table
from controller.cli.remote import remote
from controller.wire.api.freezes import FreezeBody, FreezePatch, FreezeView

app = typer.Typer(no_args_is_help=True, help="Freeze windows: nothing starts or grows; a rollback always works.")

Key = Annotated[str, typer.Argument(metavar="FREEZE", help="The freeze's key.", autocompletion=keys_of("freezes"))]


@app.command("list")
def list_(
    context: typer.Context,
    active: Annotated[bool, typer.Option("--active", help="Only those that are on.")] = False,
    as_json: Json = False,
) -> None:
    """List freezes: those that are on first, then by when they begin."""
    with remote(context) as api:
        found = api.items("/api/v1/freezes", FreezeView, wanted={"active": "true"} if active else {})
    if as_json:
        return emit(found)
    rows = ((f.key, _state(f), f.when, ", ".join(f.flags) or "all", f.entering, f.reason) for f in found)
    return show(filled(table("freeze", "state", "when", "flags", "entering", "reason"), rows, "no freezes"))


@app.command()
def add(  # noqa: PLR0913 - the options of a command line
    context: typer.Context,
    *,
    key: Annotated[str, typer.Argument(metavar="FREEZE", help="A key of your making.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; everybody who is held by it reads this.")],
    begins: Annotated[str, typer.Option("--from", metavar="MOMENT", help="Now, if left out.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="MOMENT", help="Such as 2027-01-02T08:00, or +3h.")] = "",
    cron: Annotated[str, typer.Option("--cron", help="It recurs: five fields of cron, such as '0 16 * * FRI'.")] = "",
    lasts: Annotated[str, typer.Option("--lasts", help="How long it lasts each time, such as 64h.")] = "",
    zone: Annotated[str, typer.Option("--zone", help="The time zone of --cron, such as Europe/Berlin.")] = "UTC",
    flags: Annotated[
        list[str] | None, typer.Option("--flag", help="A flag's key, or a beginning such as 'chat.*'; all, if none.")
    ] = None,
    ramp_down: Annotated[
        bool,
        typer.Option("--ramp-down", help="Live rollouts go back to their first stage's share instead of holding."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Add a freeze: `canary freeze add year-end --until 2027-01-02T08:00 --reason "people are away"`."""
    if bool(until) == bool(cron):
        raise typer.BadParameter("give either --until, or --cron with --lasts")
    body = FreezeBody(
        key=key,
        reason=reason,
        flags=flags or [],
        entering="ramp_down" if ramp_down else "hold",
        from_ms=moment_ms(begins, "--from") if begins else None,
        until_ms=moment_ms(until, "--until") if until else None,
        cron=cron,
        lasts=lasts,
        zone=zone,
    )
    with remote(context) as api:
        made = api.post("/api/v1/freezes", body, FreezeView)
    _tell(made, as_json=as_json)


@app.command()
def change(
    context: typer.Context,
    *,
    key: Key,
    until: Annotated[str, typer.Option("--until", metavar="MOMENT", help="A new end.")] = "",
    reason: Annotated[str | None, typer.Option("--reason", "-r", help="New words for those who are held.")] = None,
    version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Prolong or shorten a freeze, or change its words."""
    if not until and reason is None:
        raise typer.BadParameter("nothing to change: give --until or --reason")
    with remote(context) as api:
        read_at = version or api.get(_path(key), FreezeView).version
        ends_ms = moment_ms(until, "--until") if until else None
        changed = api.patch(_path(key), FreezePatch(read_at, reason, None, ends_ms), FreezeView)
    _tell(changed, as_json=as_json)


@app.command()
def remove(context: typer.Context, *, key: Key, reason: Reason = "", version: IfVersion = None) -> None:
    """End a freeze, now and for good."""
    with remote(context) as api:
        read_at = version or api.get(_path(key), FreezeView).version
        api.delete(f"{_path(key)}?version={read_at}&reason={quote(reason, safe='')}")
    typer.echo(f"freeze {key}: removed")


def _path(key: str) -> str:
    return f"/api/v1/freezes/{quote(key, safe='')}"


def _state(freeze: FreezeView) -> Text:
    if freeze.active_until_ms is not None:
        return Text(f"on until {clock_text(freeze.active_until_ms)}", style="bold yellow")
    if freeze.next_ms is not None:
        return Text(f"from {clock_text(freeze.next_ms)}")
    return Text("over", style="dim")


def _tell(freeze: FreezeView, *, as_json: bool) -> None:
    if as_json:
        return emit(freeze)
    return show(Text.assemble(f"freeze {freeze.key}: ", _state(freeze), f"; {freeze.when}; {freeze.reason}"))
