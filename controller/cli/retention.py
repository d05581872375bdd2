"""`canary retention`: how long raw outcomes, windows and evidence are kept, and how much detail is stored."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from controller.cli.options import FlagKey, IfVersion, Json, Reason
from controller.cli.output import emit, filled, show, table
from controller.cli.remote import remote
from controller.domain.retention import EVERY_FLAG
from controller.wire.api.retention import PolicyPatch, PolicyView

app = typer.Typer(no_args_is_help=True, help="Retention: how long things are kept, for every flag (*) or single ones.")

_FIELDS = ("raw", "ledger", "analyses", "windows", "detail")
_BACK = "; default takes back what was said"
Raw = Annotated[str | None, typer.Option("--raw", help=f"How long raw outcomes are kept, such as 3d{_BACK}.")]
Ledger = Annotated[str | None, typer.Option("--ledger", help="The ledger, from the end of its round.")]
Analyses = Annotated[str | None, typer.Option("--analyses", help="The analyses, from the end of their round.")]
Windows = Annotated[str | None, typer.Option("--windows", help="The windows that charts are drawn from.")]
Detail = Annotated[
    str | None,
    typer.Option("--detail", help="Which raw outcomes are stored: all, failures, or sample:N (one delivery in N)."),
]


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List what holds for every flag and for each; what a flag says itself has a star."""
    with remote(context) as api:
        found = api.items("/api/v1/retention", PolicyView)
    if as_json:
        return emit(found)
    return show(filled(table("flag", *_FIELDS), (_row(one) for one in found), ""))


@app.command("set")
def set_(  # noqa: PLR0913 - the options of a command line
    context: typer.Context,
    *,
    key: FlagKey = EVERY_FLAG,
    raw: Raw = None,
    ledger: Ledger = None,
    analyses: Analyses = None,
    windows: Windows = None,
    detail: Detail = None,
    reason: Reason = "",
    version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Change what is kept of a flag, or (with no flag named) of every flag that says nothing itself."""
    said = {"raw": raw, "ledger": ledger, "analyses": analyses, "windows": windows, "detail": detail}
    if all(value is None for value in said.values()):
        raise typer.BadParameter("nothing to set: give --raw, --ledger, --analyses, --windows or --detail")
    words = {name: "" if value == "default" else value for name, value in said.items()}
    path = f"/api/v1/retention/{quote(key, safe='*')}"
    with remote(context) as api:
        read_at = version if version is not None else api.get(path, PolicyView).version
        found = api.patch(path, PolicyPatch(read_at, reason=reason, **words), PolicyView)
    if as_json:
        return emit(found)
    return show(filled(table("flag", *_FIELDS), [_row(found)], ""))


def _row(one: PolicyView) -> list[str]:
    return [one.flag, *(getattr(one, name) + ("*" if name in one.own else "") for name in _FIELDS)]
