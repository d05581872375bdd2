"""`canary schedule`: changes for later, once or again and again."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli.moments import moment_ms
from controller.cli.options import IfVersion, Json, Reason
from controller.cli.output import clock_text, emit, filled, show, table
from controller.cli.remote import remote
from controller.domain.schedules import Planned
from controller.wire.api.schedules import CancelBody, ScheduleBody, ScheduleView

app = typer.Typer(no_args_is_help=True, help="Changes that are planned, each done exactly once at its time.")

Number = Annotated[int, typer.Argument(metavar="ID", min=1, help="Its number, as `schedule list` shows it.")]


@app.command("list")
def list_(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also what is over.")] = False,
    as_json: Json = False,
) -> None:
    """List planned changes, with what became of them."""
    with remote(context) as api:
        found = api.items("/api/v1/schedules", ScheduleView, wanted={} if everything else {"state": "planned"})
    if as_json:
        return emit(found)
    rows = (
        (s.id, s.words, s.state, clock_text(s.next_ms), s.cron or "once", _last(s), s.created_by, s.reason)
        for s in found
    )
    columns = (">id", "what", "state", "next", "recurs", "last", "by", "reason")
    return show(filled(table(*columns), rows, "nothing is planned"))


@app.command()
def add(  # noqa: PLR0913 - the options of a command line
    context: typer.Context,
    *,
    action: Annotated[Planned, typer.Argument(help="enable, disable, serve: of a flag; start, set_share: a rollout.")],
    subject: Annotated[str, typer.Argument(metavar="KEY", help="The flag's or the rollout's key.")],
    value: Annotated[str, typer.Argument(metavar="[VALUE]", help="The variant to serve, or the share.")] = "",
    moment: Annotated[str, typer.Option("--at", metavar="MOMENT", help="Such as 2026-12-01T09:00, or +2h.")] = "",
    cron: Annotated[str, typer.Option("--cron", help="It recurs: five fields of cron.")] = "",
    zone: Annotated[str, typer.Option("--zone", help="The time zone of --cron.")] = "UTC",
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Plan a change: `canary schedule add set_share unified-emitter 25% --at 2026-12-01T09:00`."""
    if bool(moment) == bool(cron):
        raise typer.BadParameter("give either --at or --cron")
    at_ms = moment_ms(moment, "--at") if moment else None
    body = ScheduleBody(action.value, subject, value, at_ms, cron, zone, reason)
    with remote(context) as api:
        made = api.post("/api/v1/schedules", body, ScheduleView)
    _tell(made, as_json=as_json)


@app.command()
def cancel(
    context: typer.Context, *, number: Number, reason: Reason = "", version: IfVersion = None, as_json: Json = False
) -> None:
    """Call a planned change off; what it has done so far stays."""
    with remote(context) as api:
        done = api.post(f"/api/v1/schedules/{number}/cancel", CancelBody(version, reason), ScheduleView)
    _tell(done, as_json=as_json)


def _last(schedule: ScheduleView) -> str:
    if not schedule.runs:
        return "-"
    run = schedule.runs[0]
    return f"{run.outcome} {clock_text(run.at_ms)}: {run.message}"


def _tell(schedule: ScheduleView, *, as_json: bool) -> None:
    if as_json:
        return emit(schedule)
    when = f", next at {clock_text(schedule.next_ms)}" if schedule.next_ms else ""
    return typer.echo(f"schedule {schedule.id}: {schedule.words}: {schedule.state}{when}")
