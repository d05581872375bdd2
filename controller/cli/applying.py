"""`canary apply -f DIR`: flags, segments and rollouts from files, as GitOps wants it: a diff first, and idempotent."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from controller.cli.declared import Change, Verdict, change_of, declared_in, done
from controller.cli.failures import FAILED, stop
from controller.cli.options import Json, Reason
from controller.cli.output import emit, show
from controller.cli.remote import remote

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def apply(
    context: typer.Context,
    *,
    where: Annotated[
        Path, typer.Option("--file", "-f", metavar="DIR", help="A folder of YAML or JSON files, or one of them.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="With --dry-run: exit code 1 where anything would change.")
    ] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Bring flags, segments and rollout drafts to what the files say; what they do not name stays as it is.

    Files are read and checked before anything is sent. Applying the same again changes nothing.
    """
    if check and not dry_run:
        raise typer.BadParameter("--check goes with --dry-run")
    wanted = declared_in(where)
    with remote(context) as api:
        changes = [change_of(api, one) for one in wanted]
        if not dry_run:
            changes = [done(api, change, reason) for change in changes]
    if as_json:
        emit([change.plain() for change in changes])
    else:
        show(*[_shown(change, dry_run=dry_run) for change in changes], _summary(changes, dry_run=dry_run))
    _exit(changes, check=check)


def _shown(change: Change, *, dry_run: bool) -> Text:
    head = f"{change.declared.title} ({change.declared.name}): {change.verdict.said(dry_run=dry_run)}"
    text = Text(head + (f": {change.refusal}" if change.refusal else ""), style=change.verdict.style)
    if change.verdict in (Verdict.CREATED, Verdict.CHANGED, Verdict.REFUSED):
        for line in difflib.unified_diff(change.before, change.after, "now", "wanted", lineterm="", n=2):
            text.append(f"\n  {line}", style=_COLOURS.get(line[:1], "dim"))
    return text


def _summary(changes: list[Change], *, dry_run: bool) -> Text:
    counts = {verdict: sum(change.verdict is verdict for change in changes) for verdict in Verdict}
    parts = [f"{count} {verdict.said(dry_run=dry_run)}" for verdict, count in counts.items() if count]
    return Text(", ".join(parts) or "nothing is declared here", style="bold")


def _exit(changes: list[Change], *, check: bool) -> None:
    refused = [change for change in changes if change.verdict is Verdict.REFUSED]
    if refused:
        stop(f"{len(refused)} of {len(changes)} were refused; the others are as above", FAILED)
    if check and any(change.verdict is not Verdict.UNCHANGED for change in changes):
        raise typer.Exit(FAILED)
