"""`canary db backup` and `canary db restore`: copies of everything, on the database directly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controller.cli.failures import FAILED, stop
from controller.cli.options import DatabaseUrl, Json
from controller.cli.output import emit
from controller.cli.serving import opened
from controller.clock import system_clock
from controller.settings import Settings


def backup(
    file: Annotated[Path, typer.Argument(help="A new file for the copy.")],
    without_raw: Annotated[
        bool, typer.Option("--without-raw", help="Leave out raw outcomes (PostgreSQL): judging and replay need none.")
    ] = False,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Copy the database into a file while it is in use; keep the file as safe as the database."""
    from controller.storage import backups  # noqa: PLC0415 - the server's libraries take a while to load

    with opened(Settings.load(database_url=database_url)) as database:
        try:
            backups.back_up(database, file, raw=not without_raw)
        except backups.CannotCopy as error:
            stop(str(error), FAILED)
    size = file.stat().st_size
    if as_json:
        return emit({"file": str(file), "bytes": size})
    return typer.echo(f"{file}: {size / 1e6:,.1f} MB; try it: `canary db restore {file}` into an empty database")


def restore(
    file: Annotated[Path, typer.Argument(help="A copy that `canary db backup` has made.")],
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Put a copy into an empty database; `canary audit verify` and `canary replay` then show it whole."""
    from controller.storage import backups  # noqa: PLC0415

    with opened(Settings.load(database_url=database_url)) as database:
        try:
            revision = backups.restore(database, file, system_clock())
        except backups.CannotCopy as error:
            stop(str(error), FAILED)
    if as_json:
        return emit({"revision": revision})
    return typer.echo(f"restored; clients are served revision {revision:,}, newer than any that they may have seen")
