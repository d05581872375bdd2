"""`canary instances`: who serves users."""

from __future__ import annotations

import typer
from rich.text import Text

from controller.cli.options import Json
from controller.cli.output import clock_text, emit, filled, show, table
from controller.cli.remote import remote
from controller.wire.api.people import InstanceView

_STATES = {"live": "green", "expired": "yellow"}


def instances(context: typer.Context, as_json: Json = False) -> None:
    """List the client processes: which revision each serves, and whether its attempts add up to its outcomes.

    `unknown` were open in a process that is lost; `unreconciled` are attempts that no outcome accounts for.
    """
    with remote(context) as api:
        found = api.items("/api/v1/instances", InstanceView)
    if as_json:
        return emit(found)
    counts = (">open runs", ">attempted", ">failed", ">unknown", ">unreconciled", ">dropped", ">trips", ">clock")
    columns = ("instance", "state", ">revision", *counts, "version", "region", "sdk", "last contact")
    rows = (
        (
            i.id,
            Text(i.state if i.reports else f"{i.state}, unverifiable", style=_STATES.get(i.state, "dim")),
            i.revision,
            sum(i.open_runs.values()),
            *(f"{count:,}" for count in (i.attempted, i.failed, i.unknown)),
            Text(f"{i.unreconciled:,}", style="bold red" if i.unreconciled else ""),
            i.dropped,
            i.trips,
            "-" if i.clock_offset_ms is None else f"{i.clock_offset_ms / 1000:+.1f} s",
            i.app_version or "-",
            i.region or "-",
            i.sdk or "-",
            clock_text(i.last_contact_ms),
        )
        for i in found
    )
    return show(filled(table(*columns), rows, "no instances yet: no client has asked for a snapshot"))
