"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli.completing import keys_of

Json = Annotated[bool, typer.Option("--json", help="Write JSON for programs instead of text for people.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why, in your words; the audit trail keeps it.")]
IfVersion = Annotated[
    int | None, typer.Option("--if-version", min=1, help="Refuse if it has changed since this version.")
]
Force = Annotated[bool, typer.Option("--force", help="Go against the judge's last word; needs a --reason.")]
FlagKey = Annotated[
    str, typer.Argument(metavar="FLAG", help="The flag's key.", show_default=False, autocompletion=keys_of("flags"))
]
SegmentKey = Annotated[
    str,
    typer.Argument(
        metavar="SEGMENT", help="The segment's key.", show_default=False, autocompletion=keys_of("segments")
    ),
]
File = Annotated[
    str, typer.Option("--file", "-f", metavar="FILE", help="YAML or JSON; `-` reads stdin.", show_default=False)
]
RolloutKey = Annotated[
    str,
    typer.Argument(
        metavar="ROLLOUT", help="The rollout's key.", show_default=False, autocompletion=keys_of("rollouts")
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        help="postgresql://... or sqlite:///FILE; CANARY_DATABASE_URL otherwise, else canary.db right here.",
    ),
]
