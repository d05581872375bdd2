"""`canary emitters validate`: whether factories of emitters keep to the common interface. It asks no controller."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.failures import FAILED
from controller.cli.options import Json
from controller.cli.output import emit, filled, show, table

if TYPE_CHECKING:
    from controller.emitters import InterfaceReport

app = typer.Typer(no_args_is_help=True, help="Emitters of an application: check them before a migration.")

_COLUMNS = {
    "has_create_user_emitter": "create_user_emitter",
    "has_create_auth_emitter": "create_auth_emitter",
    "signature_compatible": "every call fits",
    "protocol_compliant": "compliant",
}


@app.command()
def validate(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODULE:ATTR",
            help="Factories or emitter classes of yours, such as app.sockets:factory. Without any: this package's own.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check every legal call, old and new, against the signatures; nothing is called. Exit code 1 on a mismatch.

    Modules are imported from the working directory, as your application would import them.
    """
    from controller.emitters import validate_websocket_interfaces  # noqa: PLC0415 - no other command waits for it

    reports = validate_websocket_interfaces([_loaded(target) for target in targets] if targets else None)
    if as_json:
        emit(reports)
    else:
        _show(reports)
    if not all(report["protocol_compliant"] for report in reports.values()):
        raise typer.Exit(FAILED)


def _show(reports: dict[str, InterfaceReport]) -> None:
    rows = [
        (name, *("yes" if value else "NO" for key, value in report.items() if key in _COLUMNS))
        for name, report in reports.items()
    ]
    show(filled(table("implementation", *_COLUMNS.values()), rows, "nothing to check"))
    for name, report in reports.items():
        for mismatch in report["mismatches"]:
            show(f"{name}: {mismatch}")


def _loaded(target: str) -> object:
    """The object that MODULE:ATTR names.

    Raises:
        typer.BadParameter: it does not; the message says what is missing.
    """
    module_name, colon, path = target.partition(":")
    if not (module_name and colon and path):
        raise typer.BadParameter(f"{target!r} is not MODULE:ATTR, such as app.sockets:factory")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as missing:
        raise typer.BadParameter(f"{target!r}: no module named {missing.name!r} can be imported from {here}") from None
    except Exception as error:  # noqa: BLE001 -- an application's module may raise anything
        raise typer.BadParameter(f"{target!r}: importing {module_name} raised {error!r}") from None
    for name in path.split("."):
        if not hasattr(found, name):
            raise typer.BadParameter(f"{target!r}: {module_name} has no {path}")
        found = getattr(found, name)
    return found
