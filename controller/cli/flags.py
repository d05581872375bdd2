"""`canary flag`: flags, their variants, and the kill switch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from controller.cli import targeting
from controller.cli.failures import Failed
from controller.cli.options import File, FlagKey, IfVersion, Json, Reason
from controller.cli.output import clock_text, emit, filled, show, table
from controller.cli.remote import Remote, flag_path, remote
from controller.wire import phrases
from controller.wire.api.flags import FlagBody, FlagPatch, FlagView
from controller.wire.targeting import TargetingForm

app = typer.Typer(no_args_is_help=True, help="Flags, their variants, who gets which, and the kill switch.")

#: The kill switch wins over people who change something else at the same time.
_TRIES = 3

Users = Annotated[list[str], typer.Argument(metavar="KEY...", help="Targeting keys.", show_default=False)]
Description = Annotated[str | None, typer.Option("--description", help="What the flag is for.")]


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List all flags."""
    with remote(context) as api:
        found = api.items("/api/v1/flags", FlagView)
    if as_json:
        return emit(found)
    rows = ((f.key, _state(f), f.served, f.control, f.rollout or "-", f.version) for f in found)
    return show(filled(table("flag", "state", "serves", "control", "rollout", ">version"), rows, "no flags yet"))


@app.command("show")
def show_(context: typer.Context, key: FlagKey, as_json: Json = False) -> None:
    """Show one flag."""
    with remote(context) as api:
        found = api.get(flag_path(key), FlagView)
    _tell(found, as_json=as_json)


@app.command()
def create(  # noqa: PLR0913 - the options of a command line
    context: typer.Context,
    *,
    key: FlagKey,
    variants: Annotated[
        list[str],
        typer.Option("--variant", metavar="NAME=VALUE", help="A variant; VALUE is JSON or text. Give two or more."),
    ],
    control: Annotated[str, typer.Option("--control", help="The variant that the kill switch and failures serve.")],
    served: Annotated[str, typer.Option("--served", help="The variant for everybody; the control by default.")] = "",
    description: Description = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Create it switched off.")] = False,
    as_json: Json = False,
) -> None:
    """Create a flag: `canary flag create new-search --variant off=false --variant on=true --control off`."""
    body = FlagBody(key, _variants(variants), control, served, description or "", enabled=not disabled)
    with remote(context) as api:
        made = api.post("/api/v1/flags", body, FlagView)
    _tell(made, as_json=as_json)


@app.command()
def enable(
    context: typer.Context, key: FlagKey, reason: Reason = "", version: IfVersion = None, as_json: Json = False
) -> None:
    """Switch a flag on again."""
    _switch(context, key, FlagPatch(version or 0, enabled=True, reason=reason), as_json=as_json)


@app.command()
def disable(
    context: typer.Context, key: FlagKey, reason: Reason = "", version: IfVersion = None, as_json: Json = False
) -> None:
    """The kill switch: everybody gets the control, at once."""
    _switch(context, key, FlagPatch(version or 0, enabled=False, reason=reason), as_json=as_json)


@app.command("set")
def set_(  # noqa: PLR0913 - the options of a command line
    context: typer.Context,
    *,
    key: FlagKey,
    served: Annotated[str | None, typer.Option("--served", help="The variant to serve to everybody.")] = None,
    description: Description = None,
    reason: Reason = "",
    version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Change what a flag serves while no rollout is live, or its description."""
    if served is None and description is None:
        raise typer.BadParameter("nothing to set: give --served or --description")
    with remote(context) as api:
        read_at = version or api.get(flag_path(key), FlagView).version
        patch = FlagPatch(read_at, served=served, description=description, reason=reason)
        changed = api.patch(flag_path(key), patch, FlagView)
    _tell(changed, as_json=as_json)


@app.command()
def target(
    context: typer.Context,
    *,
    key: FlagKey,
    file: File,
    reason: Reason = "",
    version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Replace who gets which variant before the split: lists of targeting keys, and rules."""
    document = targeting.read_targeting(file)
    with remote(context) as api:
        read_at = version or api.get(flag_path(key), FlagView).version
        patch = FlagPatch(read_at, targeting=document.content, reason=reason)
        try:
            changed = api.patch(flag_path(key), patch, FlagView)
        except Failed as failed:
            raise document.placed(failed, within="targeting") from None
    _tell(changed, as_json=as_json)


@app.command()
def allow(
    context: typer.Context,
    *,
    key: FlagKey,
    users: Users,
    variant: Annotated[str, typer.Option("--variant", help="The variant that they get.")],
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Give targeting keys a variant, whatever rules and rollout say."""
    _relist(context, key, lambda form: phrases.listed(form, users, allow=variant), reason, as_json=as_json)


@app.command()
def deny(context: typer.Context, *, key: FlagKey, users: Users, reason: Reason = "", as_json: Json = False) -> None:
    """Give targeting keys the control, whatever rules and rollout say."""
    _relist(context, key, lambda form: phrases.listed(form, users, deny=True), reason, as_json=as_json)


@app.command()
def unlist(context: typer.Context, *, key: FlagKey, users: Users, reason: Reason = "", as_json: Json = False) -> None:
    """Take targeting keys off both lists again."""
    _relist(context, key, lambda form: phrases.listed(form, users), reason, as_json=as_json)


def _relist(
    context: typer.Context,
    key: str,
    change: Callable[[TargetingForm], TargetingForm],
    reason: str,
    *,
    as_json: bool,
) -> None:
    with remote(context) as api:

        def patch(found: FlagView) -> FlagPatch:
            return FlagPatch(found.version, targeting=change(found.targeting), reason=reason)

        changed = _insist(api, key, patch)
    _tell(changed, as_json=as_json)


def _switch(context: typer.Context, key: str, patch: FlagPatch, *, as_json: bool) -> None:
    with remote(context) as api:
        changed = api.patch(flag_path(key), patch, FlagView) if patch.version else _insist(api, key, _at(patch))
    _tell(changed, as_json=as_json)


def _at(patch: FlagPatch) -> Callable[[FlagView], FlagPatch]:
    return lambda found: msgspec.structs.replace(patch, version=found.version)


def _insist(api: Remote, key: str, patch: Callable[[FlagView], FlagPatch]) -> FlagView:
    """Patch whatever version it is at, also when somebody else is changing it right now."""
    for _ in range(_TRIES - 1):
        try:
            return _patch_as_it_is(api, key, patch)
        except Failed as failed:
            if failed.code != "changed_meanwhile":
                raise
    return _patch_as_it_is(api, key, patch)


def _patch_as_it_is(api: Remote, key: str, patch: Callable[[FlagView], FlagPatch]) -> FlagView:
    return api.patch(flag_path(key), patch(api.get(flag_path(key), FlagView)), FlagView)


def _variants(texts: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or name in found:
            raise typer.BadParameter(f"{text!r} has not the form NAME=VALUE, or its name comes twice")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _state(flag: FlagView) -> Text:
    return Text("on", style="green") if flag.enabled else Text("killed", style="bold red")


def _tell(flag: FlagView, *, as_json: bool) -> None:
    if as_json:
        return emit(flag)
    facts: list[tuple[str, object]] = [
        ("flag", flag.key),
        ("state", _state(flag)),
        ("serves", flag.served if flag.enabled else f"{flag.control} (the control)"),
        ("control", flag.control),
        ("variants", ", ".join(f"{k}={msgspec.json.encode(v).decode()}" for k, v in flag.variants.items())),
        ("rollout", flag.rollout or "none live"),
        ("version", f"{flag.version}, of {clock_text(flag.updated_ms)}"),
    ]
    facts += phrases.facts(flag.targeting)
    if flag.withdrawn:
        facts.append(("withdrawn", f"{', '.join(flag.withdrawn)}: a rollback took it from everybody"))
    facts += [("about", flag.description)] if flag.description else []
    return show(filled(table("", ""), facts, ""))
