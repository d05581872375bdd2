"""`canary export`: the flags in the forms that other evaluators read."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from controller.cli.failures import Failed
from controller.cli.remote import Remote, remote

app = typer.Typer(no_args_is_help=True, help="Flags in the forms that other evaluators read.")

_PATH = "/flagd/flags.json"


@app.callback()
def _group() -> None:
    """A group, so that further forms find their place."""


@app.command()
def flagd(
    context: typer.Context,
    *,
    watch: Annotated[
        Path | None, typer.Option("--watch", metavar="FILE", help="Keep this file up to date until interrupted.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write this file once.")] = None,
    interval: Annotated[float, typer.Option("--interval", min=0.1, help="Seconds between looks of --watch.")] = 2.0,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if a flag cannot be exported.")] = False,
) -> None:
    """Write all flags as flagd's definitions: to stdout, to a file, or to a file that is kept up to date.

    A file is replaced as a whole, so that no reader ever sees half of it.
    """
    if watch is not None and output is not None:
        raise typer.BadParameter("give --watch or --output, not both")
    with remote(context) as api:
        if watch is not None:
            return follow(api, watch, interval, strict=strict)
        found = api.document(_PATH)
        if found is None:
            raise Failed("The answer makes no sense", "a document that was never held is said to be unchanged")
        _complain(found[0], strict=strict)
        if output is not None:
            return replace(output, found[0])
    return typer.echo(found[0], nl=False)


def follow(
    api: Remote,
    file: Path,
    interval: float,
    *,
    strict: bool = False,
    pause: Callable[[float], None] = time.sleep,
    goes_on: Callable[[], bool] = lambda: True,
) -> None:
    """Keep a file up to date; while the controller is away the last one stays.

    Raises:
        Failed: the controller refuses for good, or the file cannot be written.
    """
    etag, trouble = "", ""
    while goes_on():
        try:
            found = api.document(_PATH, etag)
            if trouble:
                typer.echo("in contact again", err=True)
            trouble = ""
            if found is not None:
                _complain(found[0], strict=strict)
                replace(file, found[0])
                etag = found[1]
        except Failed as failed:
            if not failed.passing:
                raise
            if not trouble:
                typer.echo(f"{failed}; the last file stays, trying on", err=True)
            trouble = str(failed)
        pause(interval)


def replace(file: Path, content: bytes) -> None:
    """Put a file in the place of another one, whole or not at all, with the same rights."""
    try:
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with os.fdopen(handle, "wb") as written:
                written.write(content)
                os.fchmod(written.fileno(), mode)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Failed(f"{file} cannot be written", error.strerror or str(error)) from None


def _complain(content: bytes, *, strict: bool) -> None:
    try:
        metadata = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("metadata")
        said = msgspec.json.decode(metadata, type=dict[str, str]).get("notExported") if metadata else None
    except msgspec.MsgspecError as error:
        raise Failed("The answer makes no sense", str(error)) from None
    if said and strict:
        raise Failed("Not every flag can be exported", said)
    if said:
        typer.echo(f"not exported: {said}", err=True)
