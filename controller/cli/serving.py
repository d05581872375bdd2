"""`canary serve` and `canary db`: what runs a controller on this machine, loaded only when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.failures import USAGE, stop
from controller.cli.options import DatabaseUrl, Json
from controller.cli.output import emit
from controller.settings import Settings

if TYPE_CHECKING:
    from controller.storage.database import Database

db = typer.Typer(no_args_is_help=True, help="The database's schema; it works on the database directly.")


def serve(
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on; CANARY_HOST, else 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="CANARY_PORT, else 8321; 0 takes any free port.")
    ] = None,
    database_url: DatabaseUrl = None,
    role: Annotated[
        str | None,
        typer.Option(
            "--role",
            help="all; web: serves and ingests, never evaluates; scheduler: evaluates alone. CANARY_ROLE, else all.",
        ),
    ] = None,
) -> None:
    """Run the controller: API, dashboard, judge. Migrates an embedded SQLite database by itself."""
    from controller import bootstrap  # noqa: PLC0415 - the server's libraries take a while to load

    bootstrap.serve(Settings.load(host=host, port=port, database_url=database_url, role=role))


@db.command()
def upgrade(
    database_url: DatabaseUrl = None,
    revision: Annotated[str, typer.Option("--revision", help="Which schema to go up to.")] = "head",
    as_json: Json = False,
) -> None:
    """Migrate the schema up to this release's."""
    from controller.storage import schema  # noqa: PLC0415

    settings = Settings.load(database_url=database_url)
    with opened(settings) as database:
        before = schema.current_revision(database)
        schema.upgrade(database, revision, environment=settings.environment)
        _tell(before, schema.current_revision(database), as_json=as_json)


@db.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="Which schema to go down to; base is an empty database.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it: what newer tables and columns hold is lost.")] = False,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Migrate the schema down; what newer tables and columns hold is lost."""
    from controller.storage import schema  # noqa: PLC0415

    if not yes:
        stop("A downgrade loses data: stop the controller, make a copy, then say --yes", USAGE)
    with opened(Settings.load(database_url=database_url)) as database:
        before = schema.current_revision(database)
        schema.downgrade(database, revision)
        _tell(before, schema.current_revision(database), as_json=as_json)


@db.command()
def current(database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Show which schema the database has, and which one this release brings."""
    from controller.storage import schema  # noqa: PLC0415

    with opened(Settings.load(database_url=database_url)) as database:
        found, head = schema.current_revision(database), schema.head_revision()
    if as_json:
        return emit({"revision": found, "head": head})
    return typer.echo(f"schema {_named(found)}; this release brings {head}")


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database that the settings name, closed again at the end; an unusable address is wrong usage."""
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError  # noqa: PLC0415

    from controller.storage.database import Database  # noqa: PLC0415

    try:
        database = Database(settings.database_url)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        stop(f"CANARY_DATABASE_URL cannot be used: {error}; write postgresql+psycopg://... or sqlite:///FILE", USAGE)
    try:
        yield database
    finally:
        database.close()


def _tell(before: str | None, after: str | None, *, as_json: bool) -> None:
    if as_json:
        return emit({"before": before, "revision": after})
    if before == after:
        return typer.echo(f"schema {_named(after)}: nothing to do")
    return typer.echo(f"schema {_named(before)} -> {_named(after)}")


def _named(revision: str | None) -> str:
    return revision or "none (empty)"
