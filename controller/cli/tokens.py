"""`canary token`: who may talk to the controller, and as what."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli.options import DatabaseUrl, Json
from controller.cli.output import clock_text, emit, filled, show, table
from controller.cli.remote import remote, token_path
from controller.cli.serving import opened
from controller.clock import system_clock
from controller.domain.durations import duration_ms
from controller.domain.principals import Role
from controller.domain.scopes import scope_of
from controller.settings import Settings
from controller.wire.api.people import RotateBody, TokenBody, TokenView

#: Who the audit trail names for a token that was made in the database itself.
_HERE = "canary token create --local"

app = typer.Typer(no_args_is_help=True, help="Tokens: who may talk to the controller, and as what.")


@app.command()
def create(  # noqa: PLR0913 - the options of a command line
    context: typer.Context,
    *,
    role: Annotated[
        Role,
        typer.Option("--role", help="viewer reads, sdk fetches and reports, operator acts, admin does all."),
    ],
    name: Annotated[str, typer.Option("--name", help="Whose it is; the audit trail shows it.")] = "",
    lasts: Annotated[str, typer.Option("--lasts", help="How long it opens anything, such as 90d.")] = "",
    flags: Annotated[
        list[str] | None,
        typer.Option("--flag", help="A flag that an operator may change, or a beginning such as 'chat.*'."),
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Make it in the database directly, for the first one; needs no token.")
    ] = False,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Make a token. It is shown this once, on stdout; only its hash is kept."""
    if database_url and not local:
        raise typer.BadParameter("--database-url goes with --local alone")
    body = TokenBody(role.value, name, lasts, flags or [])
    made = _made_here(body, database_url) if local else _made_there(context, body)
    if as_json:
        return emit(made)
    typer.echo(made.token)
    typer.echo(f"{made.role} token {made.name or made.prefix}: shown this once, keep it like a password", err=True)
    return None


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the tokens; their secrets are kept nowhere."""
    with remote(context) as api:
        found = api.items("/api/v1/tokens", TokenView)
    if as_json:
        return emit(found)
    rows = (
        (
            t.prefix,
            t.role,
            t.name or "-",
            ", ".join(t.flags) or "all",
            clock_text(t.created_ms),
            clock_text(t.last_used_ms),
            clock_text(t.expires_ms),
        )
        for t in found
    )
    columns = ("token", "role", "name", "flags", "made", "last used", "ends")
    return show(filled(table(*columns), rows, "no tokens yet"))


@app.command()
def revoke(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(metavar="TOKEN", help="How it begins, as `token list` shows it.")],
    as_json: Json = False,
) -> None:
    """End a token; it opens nothing a few seconds from now."""
    with remote(context) as api:
        api.delete(token_path(prefix))
    return emit({"revoked": prefix}) if as_json else typer.echo(f"token {prefix} revoked")


@app.command()
def rotate(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(metavar="TOKEN", help="How it begins, as `token list` shows it.")],
    overlap: Annotated[str, typer.Option("--overlap", help="How long the old one goes on working.")] = "24h",
    as_json: Json = False,
) -> None:
    """Make a token that takes the place of another, with the same rights; both work for the overlap."""
    with remote(context) as api:
        made = api.post(f"{token_path(prefix)}/rotate", RotateBody(overlap), TokenView)
    if as_json:
        return emit(made)
    typer.echo(made.token)
    typer.echo(f"{made.role} token {made.name}: shown this once; {prefix} ends in {overlap}", err=True)
    return None


def _made_there(context: typer.Context, body: TokenBody) -> TokenView:
    with remote(context) as api:
        return api.post("/api/v1/tokens", body, TokenView)


def _made_here(body: TokenBody, database_url: str | None) -> TokenView:
    from controller.storage import schema  # noqa: PLC0415 - only this form needs the database's libraries
    from controller.usecases import tokens  # noqa: PLC0415
    from controller.usecases.views.tokens import token_view  # noqa: PLC0415

    settings = Settings.load(database_url=database_url)
    with opened(settings) as database:
        schema.ensure(database, environment=settings.environment)
        new = tokens.create(
            database,
            body.role,
            body.name,
            actor=_HERE,
            now_ms=system_clock(),
            scope=scope_of(body.flags),
            lasts_ms=duration_ms(body.lasts, "lasts") if body.lasts else None,
        )
    return token_view(new.stored, new.secret)
