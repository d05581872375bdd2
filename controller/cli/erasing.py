"""`canary erase`: what is stored of single users of the measured applications, deleted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.options import Json, Reason
from controller.cli.output import emit
from controller.cli.remote import remote
from controller.client.privacy import Pseudonyms
from controller.wire.api.erasure import ErasedView, Erasure


def erase(
    context: typer.Context,
    token_files: Annotated[
        list[Path] | None,
        typer.Option(
            "--token-file",
            help="A file with an SDK token that the applications use or used; user ids are then read from stdin.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    pseudonyms: Annotated[
        list[str] | None,
        typer.Option("--pseudonym", help="A pseudonym itself, as in a raw outcome's user_hash.", metavar="HEX"),
    ] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Erase what is stored of users: ids from stdin, one a line, under each token; or pseudonyms.

    No id leaves this machine: only its keyed hash is sent, which needs the token that the applications report with.
    """
    wanted = [*(pseudonyms or ()), *_hashed(token_files or [])]
    if not wanted:
        raise typer.BadParameter("nobody to erase: give --token-file and user ids on stdin, or --pseudonym")
    with remote(context) as api:
        found = api.post("/api/v1/erasures", Erasure(wanted, reason=reason), ErasedView)
    if as_json:
        return emit(found)
    return typer.echo(f"erased: {found.raw:,} raw outcomes, {found.samples} samples, {found.gauges} gauges")


def _hashed(token_files: list[Path]) -> list[str]:
    if not token_files:
        return []
    users = [line.rstrip("\r\n") for line in sys.stdin if line.strip()]
    makers = [Pseudonyms(file.read_text(encoding="utf-8").strip()) for file in token_files]
    return [maker.of(user) for maker in makers for user in users]
