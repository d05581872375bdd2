"""`canary handover`: live rollouts, what holds them and what comes next, for whoever takes over."""

from __future__ import annotations

from collections.abc import Iterator

import typer
from rich.text import Text

from controller.cli.options import Json
from controller.cli.output import clock_text, emit, percent, show
from controller.cli.remote import remote
from controller.wire.api.handover import HandoverItem, HandoverView


def handover(context: typer.Context, as_json: Json = False) -> None:
    """Print what whoever takes over has to know: live rollouts, freezes, planned changes, open alerts."""
    with remote(context) as api:
        found = api.get("/api/v1/handover", HandoverView)
    return emit(found) if as_json else show(*_page(found))


def _page(found: HandoverView) -> Iterator[Text]:
    yield Text(f"Handover of {found.environment}, {clock_text(found.at_ms)}", style="bold")
    yield from _list("Alerts", [f"{a.rollout}: {a.name}: {a.message}" for a in found.alerts], "none is open")
    yield Text(f"\nRollouts under way: {len(found.rollouts) or 'none'}", style="bold")
    for item in found.rollouts:
        yield from _rollout(item)
    freezes = [
        f"{f.key}: {'on until ' + clock_text(f.active_until_ms) if f.active_until_ms else f.when}; "
        f"{', '.join(f.flags) or 'all flags'}; {f.reason}"
        for f in found.freezes
    ]
    yield from _list("Freezes", freezes, "none is on, none begins within a week")
    planned = [f"{clock_text(s.next_ms)}: {s.words} (schedule {s.id}, by {s.created_by})" for s in found.planned]
    yield from _list("Planned", planned, "nothing")


def _rollout(item: HandoverItem) -> Iterator[Text]:
    whose = ", ".join(part for part in (item.owner, item.channel) if part)
    yield Text(f"\n  {item.rollout} ({item.flag}): {item.phase} at {percent(item.share_percent)} of "
               f"{percent(item.target_percent)}" + (f", {whose}" if whose else ""))  # fmt: skip
    yield Text(f"    holds: {item.holds}")
    yield Text(f"    next:  {item.next}")
    if item.note:
        yield Text(f"    note:  {item.note}")


def _list(title: str, lines: list[str], empty: str) -> Iterator[Text]:
    yield Text(f"\n{title}", style="bold")
    yield from (Text(f"  {line}") for line in lines or [empty])
