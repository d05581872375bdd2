"""`canary demo`: what the story can be told. The story itself is handed in from above."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Protocol

import typer


class Fault(StrEnum):
    """What goes wrong on the way up."""

    DROP = "drop"
    ERROR = "error"
    ONE_TYPE = "one-type"
    DEPLOY = "deploy"
    ABANDON = "abandon"
    NONE = "none"


class Play(Protocol):
    """Plays the story and returns the exit code."""

    def __call__(self, *, fault: str, users: int, seed: int, keep: bool, port: int, plain: bool) -> int:
        """Play it."""


def demo_command(play: Play) -> Callable[..., None]:
    """The command for a story."""

    def demo(
        fault: Annotated[
            Fault,
            typer.Option(
                "--fault",
                help="drop, error and one-type break the new emitter and end rolled back; deploy, abandon and none do "
                "not, and end promoted.",
            ),
        ] = Fault.DROP,
        users: Annotated[int, typer.Option("--users", min=10, max=5000, help="Simulated users at a time.")] = 300,
        seed: Annotated[int, typer.Option("--seed", help="Of all that is random in the simulation.")] = 7,
        keep: Annotated[
            bool, typer.Option("--keep", help="Leave controller and dashboard running at the end.")
        ] = False,
        port: Annotated[
            int, typer.Option("--port", min=0, max=65535, help="The controller's port; 0 takes any free one.")
        ] = 0,
        plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live view.")] = False,
    ) -> None:
        """Play a whole rollout on real sockets on this machine: ramp, fault, conviction, verified rollback."""
        raise typer.Exit(play(fault=fault.value, users=users, seed=seed, keep=keep, port=port, plain=plain))

    return demo
