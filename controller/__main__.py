"""The `canary` command, also as `python -m controller`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from controller.cli.app import build  # noqa: PLC0415 - what is missing is explained below
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] == "controller":
            raise
        sys.stderr.write(
            f"error: The command line is not installed: {missing.name} is missing; "
            "pip install 'canary-controller[server]'\n"
        )
        sys.exit(1)
    build(_play)(prog_name="canary")


def _play(*, fault: str, users: int, seed: int, keep: bool, port: int, plain: bool) -> int:
    from controller.demo.options import Fault, Options  # noqa: PLC0415 - only the demo needs its simulation
    from controller.demo.story import main as play  # noqa: PLC0415

    return play(Options(Fault(fault), users, seed, keep, port, plain))


if __name__ == "__main__":
    main()
