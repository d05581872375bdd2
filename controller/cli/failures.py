"""How a command fails: one line on stderr, and the exit code that a script can rely on."""

from __future__ import annotations

from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from controller.domain.errors import Refusal
from controller.settings import BadSettingError

#: Refused or failed.
FAILED = 1
#: Wrong usage: an option, an argument or a setting cannot be used.
USAGE = 2

#: Answers of a controller that is being restarted, or too busy for the moment.
_PASSING = (429, 502, 503, 504)


class Failed(Exception):
    """The command could not be done.

    Args:
        title: what happened, as the controller calls it.
        detail: what was wrong and what would mend it.
        field: the path of the offending field, where there is one.
        code: the problem's stable code (`changed_meanwhile`); empty where no controller answered.
        status: the HTTP status; 0 where no controller answered.
    """

    def __init__(self, title: str, detail: str = "", *, field: str = "", code: str = "", status: int = 0) -> None:
        super().__init__(sentence(title, detail, field))
        self.code = code
        self.field = field
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether it may well work in a moment."""
        return self.status in _PASSING


class Unreachable(Failed):
    """No controller answers there."""

    @property
    def passing(self) -> bool:
        """A controller that is being restarted answers again soon."""
        return True


def sentence(title: str, detail: str = "", field: str = "") -> str:
    """`title: detail (field)`, without the parts that are empty."""
    return ": ".join(part for part in (title, detail) if part) + (f" ({field})" if field else "")


def stop(message: str, code: int = FAILED) -> NoReturn:
    """Say on stderr why it failed, and end with the code."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)


class Door(TyperGroup):
    """The root of all commands: what any of them raises becomes one line and an exit code here."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except Failed as failed:
            stop(str(failed))
        except Refusal as refusal:
            stop(sentence(refusal.title, refusal.detail, refusal.field or ""))
        except BadSettingError as bad:
            stop(f"A setting cannot be used: {bad}", USAGE)
        except BrokenPipeError:  # the reader of a pipe has seen enough
            raise
        except OSError as error:
            stop(f"The operating system refused: {error}")
