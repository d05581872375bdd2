"""The root of the `canary` command: what all commands share, and the list of them."""

from __future__ import annotations

from typing import Annotated

import typer

from controller import __version__
from controller.cli import (
    applying,
    auditing,
    backtesting,
    backups,
    doctor,
    emitters,
    erasing,
    explaining,
    exporting,
    flags,
    freezes,
    handover,
    notifying,
    planning,
    reading,
    replaying,
    retention,
    rollouts,
    schedules,
    segments,
    serving,
    tokens,
    users,
)
from controller.cli.failures import Door
from controller.cli.playing import Play, demo_command

_HELP = """Canary rollouts that judge themselves and roll back by themselves.

Most commands talk to the controller at CANARY_URL (http://127.0.0.1:8321 by default) with the token in CANARY_TOKEN.

serve, demo, db, doctor, emitters, token create --local and user first-admin work on this machine.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage."""


def build(play: Play) -> typer.Typer:
    """The command with all its parts; `play` is what `canary demo` plays."""
    app = typer.Typer(
        name="canary",
        cls=Door,
        help=_HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_shared)
    app.command("serve")(serving.serve)
    app.command("doctor")(doctor.doctor)
    serving.db.command("check")(doctor.check)
    serving.db.command("backup")(backups.backup)
    serving.db.command("restore")(backups.restore)
    app.command("demo")(demo_command(play))
    app.add_typer(rollouts.app, name="rollout")
    app.add_typer(flags.app, name="flag")
    app.add_typer(segments.app, name="segment")
    app.add_typer(retention.app, name="retention")
    app.command("erase")(erasing.erase)
    app.add_typer(exporting.app, name="export")
    app.command("plan")(planning.plan)
    app.command("backtest")(backtesting.backtest_)
    app.command("replay")(replaying.replay_)
    app.command("alerts")(explaining.alerts)
    app.command("approvals")(explaining.approvals)
    app.command("quarantines")(explaining.quarantines)
    app.command("judge")(explaining.judge_errors)
    app.command("instances")(reading.instances)
    app.add_typer(auditing.app, name="audit")
    app.add_typer(freezes.app, name="freeze")
    app.add_typer(schedules.app, name="schedule")
    app.command("handover")(handover.handover)
    app.command("apply")(applying.apply)
    app.add_typer(users.app, name="user")
    app.command("whoami")(users.whoami)
    app.add_typer(emitters.app, name="emitters")
    app.add_typer(notifying.app, name="notify")
    app.add_typer(tokens.app, name="token")
    app.add_typer(serving.db, name="db")
    return app


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"canary-controller {__version__}")
        raise typer.Exit


def _shared(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="The controller's address instead of CANARY_URL.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version  # its callback has done everything
    context.obj = url
