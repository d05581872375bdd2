"""`canary rollout`: from a manifest to a promoted or rolled-back canary."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import views
from controller.cli.documents import Document
from controller.cli.explaining import explanation, round_table
from controller.cli.failures import FAILED, Failed
from controller.cli.manifests import read_manifest
from controller.cli.options import Force, IfVersion, Json, Reason, RolloutKey
from controller.cli.output import emit, show
from controller.cli.remote import Remote, remote, rollout_path
from controller.cli.reporting import report
from controller.cli.watching import as_lines, on_screen, watch
from controller.clock import system_clock
from controller.domain.durations import duration_ms, duration_text
from controller.domain.errors import Invalid
from controller.wire.api.judging import DecisionView, ExplainView, RoundView
from controller.wire.api.rollouts import LabelBody, ReArmBody, RolloutView, ShareBody, VerbBody
from controller.wire.manifests import Manifest

app = typer.Typer(no_args_is_help=True, help="Rollouts: apply a manifest, start it, watch it, act on it.")


@app.command()
def apply(
    context: typer.Context,
    file: Annotated[str, typer.Option("--file", "-f", help="The manifest, YAML or JSON; - reads stdin.")],
    as_json: Json = False,
) -> None:
    """Create a draft from a manifest, or replace the draft of the same key; nothing is served by it before `start`."""
    document = read_manifest(file)
    with remote(context) as api:
        before = _present(api, document.content.rollout)
        try:
            after = api.post("/api/v1/rollouts", document.content, RolloutView)
        except Failed as failed:
            raise document.placed(failed) from None
    if as_json:
        return emit(after)
    return typer.echo("\n".join(_what_changed(before, after, document)))


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List all rollouts."""
    with remote(context) as api:
        found = api.items("/api/v1/rollouts", RolloutView)
    return emit(found) if as_json else show(views.listing(found))


@app.command("show")
def show_(context: typer.Context, key: RolloutKey, as_json: Json = False) -> None:
    """Show a rollout with its plan, the health of both arms, the evidence and the judge's last word."""
    with remote(context) as api:
        view = api.get(rollout_path(key), RolloutView)
    return emit(view) if as_json else show(views.card(view, system_clock()), "", views.details(view))


@app.command()
def status(context: typer.Context, key: RolloutKey, as_json: Json = False) -> None:
    """Say in a few lines where a rollout stands."""
    with remote(context) as api:
        view = api.get(rollout_path(key), RolloutView)
    return emit(view) if as_json else show(views.status(view))


@app.command("watch")
def watch_(
    context: typer.Context,
    key: RolloutKey,
    timeout: Annotated[
        str | None, typer.Option("--timeout", help="Give up after 90s, 30m, 2h ...; never by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Follow a rollout until it has ended: exit code 0 if promoted, 1 if rolled back or aborted."""
    most_ms = None if timeout is None else _span(timeout)
    with remote(context) as api:

        def read() -> RolloutView:
            return api.get(rollout_path(key), RolloutView)

        if as_json:
            end = watch(read, as_lines, most_ms=most_ms)
        else:
            with on_screen() as shows:
                end = watch(read, shows, most_ms=most_ms)
    if end.phase != "promoted":
        raise typer.Exit(FAILED)


@app.command()
def decisions(context: typer.Context, key: RolloutKey, as_json: Json = False) -> None:
    """List who or what acted on a rollout, when and why."""
    with remote(context) as api:
        found = api.items(rollout_path(key, "decisions"), DecisionView)
    return emit(found) if as_json else show(views.history(found))


@app.command()
def start(
    context: typer.Context, key: RolloutKey, reason: Reason = "", version: IfVersion = None, as_json: Json = False
) -> None:
    """Begin the first stage; says what the guard means for this rollout."""
    _act(context, key, "start", VerbBody(version, reason), as_json=as_json)


@app.command()
def pause(
    context: typer.Context, key: RolloutKey, reason: Reason = "", version: IfVersion = None, as_json: Json = False
) -> None:
    """Hold the present share; failures still roll back."""
    _act(context, key, "pause", VerbBody(version, reason), as_json=as_json)


@app.command()
def resume(
    context: typer.Context, key: RolloutKey, reason: Reason = "", version: IfVersion = None, as_json: Json = False
) -> None:
    """Go on with the stage; the time spent paused is not baked."""
    _act(context, key, "resume", VerbBody(version, reason), as_json=as_json)


@app.command()
def promote(
    context: typer.Context,
    key: RolloutKey,
    reason: Reason = "",
    force: Force = False,
    version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Serve the canary to everybody, for good, without waiting for proof."""
    _act(context, key, "promote", VerbBody(version, reason, force), as_json=as_json)


@app.command()
def rollback(
    context: typer.Context, key: RolloutKey, reason: Reason = "", version: IfVersion = None, as_json: Json = False
) -> None:
    """Take the canary away from everybody, now."""
    _act(context, key, "rollback", VerbBody(version, reason), as_json=as_json)


@app.command()
def abort(
    context: typer.Context, key: RolloutKey, reason: Reason = "", version: IfVersion = None, as_json: Json = False
) -> None:
    """Give up a draft, or the measuring before the first stage."""
    _act(context, key, "abort", VerbBody(version, reason), as_json=as_json)


@app.command()
def advance(
    context: typer.Context,
    key: RolloutKey,
    reason: Reason = "",
    force: Force = False,
    version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Go on to the next stage without waiting for its evidence or its bake time."""
    _act(context, key, "advance", VerbBody(version, reason, force), as_json=as_json)


@app.command("set-share")
def set_share(  # noqa: PLR0913, PLR0917 - the options of a verb
    context: typer.Context,
    key: RolloutKey,
    share: Annotated[str, typer.Argument(help="The canary's share, such as 25%.", show_default=False)],
    reason: Reason = "",
    force: Force = False,
    version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Set the canary's share by hand; its evidence for promotion begins anew."""
    _act(context, key, "set-share", ShareBody(version, reason, force, share=share), as_json=as_json)


@app.command()
def approve(
    context: typer.Context, key: RolloutKey, reason: Reason = "", version: IfVersion = None, as_json: Json = False
) -> None:
    """Agree to the next stage; somebody else than who started the rollout has to."""
    _act(context, key, "approve", VerbBody(version, reason), as_json=as_json)


@app.command("re-arm")
def re_arm(
    context: typer.Context,
    key: RolloutKey,
    lift: Annotated[
        list[str] | None, typer.Option("--lift", help="An application version to leave quarantine; can be repeated.")
    ] = None,
    reason: Reason = "",
    version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Make a rolled-back rollout a draft again; started again, the same users see it."""
    _act(context, key, "re-arm", ReArmBody(version, reason, lift=lift or []), as_json=as_json)


@app.command()
def label(
    context: typer.Context,
    key: RolloutKey,
    true: Annotated[bool, typer.Option("--true/--false", help="The rollback was right, or it was a false one.")],
    number: Annotated[int | None, typer.Option("--round", min=1, help="The round; the last one by default.")] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Say whether a rollback was right; false ones are counted per 100 rollout-days."""
    _act(context, key, "label", LabelBody(true, number, reason), as_json=as_json)


@app.command()
def explain(context: typer.Context, key: RolloutKey, as_json: Json = False) -> None:
    """Say why it stands where it stands, with the arithmetic, and what would settle it and when."""
    with remote(context) as api:
        found = api.get(rollout_path(key, "explain"), ExplainView)
    return emit(found) if as_json else show(*explanation(found))


@app.command()
def rounds(context: typer.Context, key: RolloutKey, as_json: Json = False) -> None:
    """List each start of a rollout: who, when, how it ended, and what people said of its rollback."""
    with remote(context) as api:
        found = api.items(rollout_path(key, "rounds"), RoundView)
    return emit(found) if as_json else show(round_table(found))


app.command()(report)


def _act(context: typer.Context, key: str, verb: str, body: object, *, as_json: bool) -> None:
    with remote(context) as api:
        view = api.post(rollout_path(key, verb), body, RolloutView)
    if as_json:
        return emit(view)
    if view.message:
        typer.echo(view.message)
    return show(views.status(view))


def _present(api: Remote, key: str) -> RolloutView | None:
    try:
        return api.get(rollout_path(key), RolloutView)
    except Failed as failed:
        if failed.status != 404:
            raise
        return None


def _what_changed(before: RolloutView | None, after: RolloutView, document: Document[Manifest]) -> list[str]:
    if before is None:
        return [
            f"rollout {after.key}: draft created",
            *(f"  {name}: {value}" for name, value in _facts(after).items()),
            f"start it with: canary rollout start {after.key}",
        ]
    if before.version == after.version:
        return [f"rollout {after.key}: unchanged, {document.name} says the same"]
    old, new = _facts(before), _facts(after)
    return [
        f"rollout {after.key}: draft replaced, now version {after.version}",
        *(f"  {name}: {old[name]} -> {new[name]}" for name in new if old[name] != new[name]),
    ]


def _facts(view: RolloutView) -> dict[str, str]:
    return {
        "flag": view.flag,
        "control": view.control,
        "canary": view.canary,
        "stages": ", ".join(f"{s.share_percent:g}% for {duration_text(s.bake_ms)}" for s in view.stages),
        "unit": view.unit,
        "events": ", ".join(view.events),
        "owner": view.owner or "nobody",
        "note": view.note or "none",
    }


def _span(text: str) -> int:
    try:
        return duration_ms(text, "--timeout")
    except Invalid as invalid:
        raise typer.BadParameter(invalid.detail) from None
