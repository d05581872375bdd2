"""`canary audit`: who changed what; the chain exported, and checked on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
import typer

from controller.cli.failures import FAILED, Failed, stop
from controller.cli.options import Json
from controller.cli.output import clock_text, emit, filled, show, table
from controller.cli.remote import Remote, remote
from controller.domain.chain import ChainCheck, head_of
from controller.wire.api.people import AuditCheck, AuditView

app = typer.Typer(help="Who changed what, when and why; a chain that shows what was changed or is missing.")

_EXPORT = "/api/v1/audit/export"
_FIELDS = ("seq", "previous", "digest")


@app.callback(invoke_without_command=True)
def audit(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many entries at most.")] = 50,
    actor: Annotated[str, typer.Option("--actor", help="Only what they did.")] = "",
    action: Annotated[str, typer.Option("--action", help="Only these, such as flag.killed.")] = "",
    subject: Annotated[str, typer.Option("--subject", help="Only of rollout/KEY; rollout/ is all rollouts.")] = "",
    as_json: Json = False,
) -> None:
    """List who changed what, when and why, the newest first."""
    if context.invoked_subcommand is not None:
        return None
    wanted = {name: text for name, text in (("actor", actor), ("action", action), ("subject", subject)) if text}
    with remote(context) as api:
        found = api.items("/api/v1/audit", AuditView, limit, cursor="before", wanted=wanted)
    if as_json:
        return emit(found)
    rows = ((clock_text(a.at_ms), a.actor, a.action, a.subject, a.reason) for a in found)
    return show(filled(table("when", "who", "action", "subject", "reason"), rows, "nothing has been changed yet"))


@app.command()
def export(
    context: typer.Context,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="A file; stdout, if left out.")] = "-",
) -> None:
    """Write the whole trail as JSON lines, from the oldest entry on."""
    with remote(context) as api:
        if output == "-":
            _copy(api, sys.stdout.buffer)
            return
        with Path(output).open("wb") as file:
            count = _copy(api, file)
    typer.echo(f"{count:,} entries in {output}", err=True)


@app.command()
def verify(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Option(
            "--file", "-f", metavar="FILE", help="An export, or an archive's folder, instead of the controller."
        ),
    ] = "",
    head: Annotated[
        str, typer.Option("--head", help="NUMBER:DIGEST of an earlier check: the entries up to it must be the same.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Recompute the chain on this machine; exit code 1 where an entry was changed or is missing.

    Note the head that it prints somewhere else: whoever can write to the database can write the chain anew, and only a
    head that they cannot reach proves it.
    """
    noted = head_of(head) if head else None
    if head and noted is None:
        raise typer.BadParameter("--head is written NUMBER:DIGEST, as this command prints it")
    check = ChainCheck(() if noted is None else (noted,))
    unchained = 0
    if file:
        check.follow(_lines(file))
    else:
        with remote(context) as api:
            said = api.get("/api/v1/audit/check", AuditCheck)
            unchained = said.unchained
            remembered = head_of(said.head) if said.intact else None
            check = ChainCheck((*check.noted, *([remembered] if remembered else [])))
            if check.follow(_entries(api)) and not said.intact:
                check.fault = said.fault
    _tell(check, unchained, as_json=as_json)


def _tell(check: ChainCheck, unchained: int, *, as_json: bool) -> None:
    intact = check.end()
    found = AuditCheck(intact, check.head.seq, str(check.head), check.fault, unchained)
    if as_json:
        emit(found)
    elif intact:
        more = f"; {unchained} of an earlier release join it with the next change" if unchained else ""
        typer.echo(f"{found.entries:,} entries as they were written; head {found.head}{more}")
    if not intact:
        stop(f"The audit trail is not as it was written: {found.fault}", FAILED)


def _copy(api: Remote, out: BinaryIO) -> int:
    count = 0
    for page in _pages(api):
        out.write(page)
        count += page.count(b"\n")
    return count


def _pages(api: Remote) -> Iterator[bytes]:
    after: str | None = "0"
    while after is not None:
        found = api.document(f"{_EXPORT}?after={after}")
        if found is None:
            return
        yield found[0]
        after = found[2].get("canary-next")


def _entries(api: Remote) -> Iterator[dict[str, Any]]:
    for page in _pages(api):
        yield from (_entry(line, "the export") for line in page.splitlines())


def _lines(name: str) -> Iterator[dict[str, Any]]:
    path = Path(name)
    for part in sorted(path.glob("audit-*.jsonl")) if path.is_dir() else [path]:
        with part.open("rb") as file:
            yield from (_entry(line, part.name) for line in file if line.strip())


def _entry(line: bytes, name: str) -> dict[str, Any]:
    try:
        entry: dict[str, Any] = msgspec.json.decode(line)
        msgspec.convert(entry, AuditView)
    except (msgspec.DecodeError, TypeError) as error:
        raise Failed(f"{name} is no export of the audit trail", str(error)) from None
    if any(entry.get(field) is None for field in _FIELDS):
        raise Failed(f"{name} is no export of the audit trail", "an entry has no place in the chain")
    return entry
