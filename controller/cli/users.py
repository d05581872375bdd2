"""`canary user`: people who sign in to the dashboard. And `canary whoami`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from urllib.parse import quote

import typer

from controller.cli.completing import keys_of
from controller.cli.options import DatabaseUrl, IfVersion, Json, Reason
from controller.cli.output import clock_text, emit, filled, show, table
from controller.cli.remote import remote
from controller.cli.serving import opened
from controller.clock import system_clock
from controller.settings import Settings, client_settings
from controller.wire.api.people import ReasonBody, UserBody, UserPatch, UserView, WhoView

app = typer.Typer(no_args_is_help=True, help="People who sign in to the dashboard.")


class PersonRole(StrEnum):
    """Roles of people."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


Name = Annotated[
    str, typer.Argument(metavar="NAME", help="What they sign in by.", autocompletion=keys_of("users", "name"))
]
Flags = Annotated[
    list[str] | None,
    typer.Option("--flag", help="A flag that an operator may change, or a beginning such as 'chat.*'; all, if none."),
]


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the users."""
    with remote(context) as api:
        found = api.items("/api/v1/users", UserView)
    if as_json:
        return emit(found)
    rows = (
        (
            u.name,
            u.role if u.enabled else "disabled",
            ", ".join(u.flags) or "all",
            ", ".join(u.signs_in_by) or "not yet",
            len(u.sessions),
            clock_text(u.seen_ms),
        )
        for u in found
    )
    return show(filled(table("user", "role", "flags", "signs in by", ">sessions", "last seen"), rows, "no users yet"))


@app.command()
def create(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What they sign in by, such as ann@example.com.")],
    role: Annotated[PersonRole, typer.Option("--role", help="viewer looks, operator acts, admin does all.")],
    flags: Flags = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Create a user; the link on stdout is where they choose a password, once, within a day."""
    with remote(context) as api:
        made = api.post("/api/v1/users", UserBody(name, role.value, flags or [], reason), UserView)
    _tell_link(made, as_json=as_json)


@app.command()
def invite(context: typer.Context, *, name: Name, reason: Reason = "", as_json: Json = False) -> None:
    """Make a new link by which a user chooses a (new) password; earlier ones open nothing any more."""
    with remote(context) as api:
        made = api.post(f"{_path(name)}/invite", ReasonBody(reason), UserView)
    _tell_link(made, as_json=as_json)


@app.command("set")
def set_(  # noqa: PLR0913 - the options of a command line
    context: typer.Context,
    *,
    name: Name,
    role: Annotated[PersonRole | None, typer.Option("--role", help="A new role.")] = None,
    flags: Flags = None,
    all_flags: Annotated[bool, typer.Option("--all-flags", help="No limit to the flags any more.")] = False,
    reason: Reason = "",
    version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Change what a user may do; it counts within seconds."""
    if role is None and not flags and not all_flags:
        raise typer.BadParameter("nothing to set: give --role, --flag or --all-flags")
    scope = [] if all_flags else flags
    _patch(context, name, UserPatch(version or 0, role.value if role else None, scope, None, reason), as_json=as_json)


@app.command()
def disable(
    context: typer.Context, *, name: Name, reason: Reason = "", version: IfVersion = None, as_json: Json = False
) -> None:
    """Sign a user out everywhere and keep them out; the audit trail keeps their name."""
    _patch(context, name, UserPatch(version or 0, enabled=False, reason=reason), as_json=as_json)


@app.command()
def enable(
    context: typer.Context, *, name: Name, reason: Reason = "", version: IfVersion = None, as_json: Json = False
) -> None:
    """Let a user sign in again."""
    _patch(context, name, UserPatch(version or 0, enabled=True, reason=reason), as_json=as_json)


@app.command("sign-out")
def sign_out(context: typer.Context, *, name: Name, reason: Reason = "", as_json: Json = False) -> None:
    """Sign a user out everywhere."""
    with remote(context) as api:
        done = api.post(f"{_path(name)}/sign-out", ReasonBody(reason), UserView)
    return emit(done) if as_json else typer.echo(f"user {name}: signed out everywhere")


@app.command("first-admin")
def first_admin(database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Make the first admin's link in the database itself; for when the one that `serve` prints is lost."""
    from controller.storage import schema  # noqa: PLC0415 - only this form needs the database's libraries
    from controller.usecases import users  # noqa: PLC0415

    settings = Settings.load(database_url=database_url)
    with opened(settings) as database:
        schema.ensure(database, environment=settings.environment)
        secret = users.first_admin_link(database, system_clock())
    if secret is None:
        return emit({"link": None}) if as_json else typer.echo("an admin can sign in already; ask them to invite you")
    link = f"{settings.public_url or client_settings()[0]}/setup/{secret}"
    return emit({"link": link}) if as_json else typer.echo(link)


def whoami(context: typer.Context, as_json: Json = False) -> None:
    """Show who the controller takes you for, and what you may do."""
    with remote(context) as api:
        found = api.get("/api/v1/me", WhoView)
    if as_json:
        return emit(found)
    scope = ", ".join(found.flags) or "all flags"
    return typer.echo(f"{found.name}: {found.role} of {scope}; may {', '.join(found.rights)}")


def _patch(context: typer.Context, name: str, patch: UserPatch, *, as_json: bool) -> None:
    with remote(context) as api:
        patch.version = patch.version or api.get(_path(name), UserView).version
        changed = api.patch(_path(name), patch, UserView)
    if as_json:
        return emit(changed)
    scope = ", ".join(changed.flags) or "all flags"
    return typer.echo(f"user {changed.name}: {changed.role if changed.enabled else 'disabled'}, {scope}")


def _path(name: str) -> str:
    return f"/api/v1/users/{quote(name, safe='')}"


def _tell_link(user: UserView, *, as_json: bool) -> None:
    if as_json:
        return emit(user)
    typer.echo(user.link)
    return typer.echo(f"{user.role} {user.name}: the link works once and for a day; send it to them alone", err=True)
