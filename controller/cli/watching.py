"""`canary rollout watch`: looks once a second until the rollout has ended, and outlives a restart of the controller."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Group
from rich.live import Live
from rich.text import Text

from controller.cli.failures import Failed
from controller.cli.output import clock_text, console, emit_line
from controller.cli.views import FINAL, card, message, stage
from controller.clock import Clock, system_clock
from controller.wire.api.rollouts import RolloutView

#: How often it looks, in seconds.
POLL_S = 1.0
#: How long the controller may be away before watching it is given up.
PATIENCE_MS = 60_000


class Shows(Protocol):
    """Shows one look; `trouble` says why the view may be stale."""

    def __call__(self, view: RolloutView, now_ms: int, trouble: str) -> None:
        """Show it."""


def watch(
    read: Callable[[], RolloutView],
    shows: Shows,
    *,
    clock: Clock = system_clock,
    pause: Callable[[float], None] = time.sleep,
    most_ms: int | None = None,
) -> RolloutView:
    """Look until the rollout has ended.

    Raises:
        Failed: it does not exist, the controller stayed away for a minute, or `most_ms` have passed.
    """
    view, began_ms = read(), clock()
    heard_ms, trouble = began_ms, ""
    while True:
        now_ms = clock()
        shows(view, now_ms, trouble)
        if view.phase in FINAL:
            return view
        if most_ms is not None and now_ms - began_ms >= most_ms:
            raise Failed("The rollout has not ended in time", f"{view.key!r} is still {view.phase}")
        pause(POLL_S)
        try:
            view, trouble = read(), ""
            heard_ms = clock()
        except Failed as failed:
            if not failed.passing or clock() - heard_ms >= PATIENCE_MS:
                raise
            trouble = str(failed)


def as_lines(view: RolloutView, now_ms: int, trouble: str) -> None:
    """The machine form: one JSON document for each look; nothing while the controller is away."""
    del now_ms
    if not trouble:
        emit_line(view)


class Ticker:
    """For pipes and logs: one line for each change of phase, stage, verdict or verification."""

    def __init__(self) -> None:
        self._last: tuple[object, ...] = ()
        self._console = console()

    def __call__(self, view: RolloutView, now_ms: int, trouble: str) -> None:
        """Write a line if there is news."""
        said = view.analysis.verdict if view.analysis else ""
        verified = view.verification.sentence if view.verification else ""
        news = (view.phase, view.stage, said, verified, trouble)
        if news == self._last:
            return
        self._last = news
        head = f"{clock_text(now_ms, day=False)} {view.phase} stage {stage(view)} at {view.share_percent:g} %"
        why = trouble or (f"rollback {verified}" if verified else str(message(view) or ""))
        self._console.print(f"{head}: {why}" if why else head)


@contextmanager
def on_screen() -> Iterator[Shows]:
    """The live view on a terminal; lines anywhere else."""
    out = console()
    if not out.is_terminal:
        yield Ticker()
        return
    with Live(console=out, auto_refresh=False) as live:

        def shows(view: RolloutView, now_ms: int, trouble: str) -> None:
            parts = [card(view, now_ms)]
            if trouble:
                parts.append(Group(Text(), Text(f"{trouble} (still trying)", style="bold red")))
            live.update(Group(*parts), refresh=True)

        yield shows
