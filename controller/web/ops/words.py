"""How figures and times are written on pages; Jinja filters."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from controller.domain.rollouts import Phase
from controller.domain.tallies import UNIT
from controller.usecases.views.next_steps import needs_attention
from controller.web.ops.bars import bars, worst
from controller.web.ops.differences import changes
from controller.wire.api.rollouts import EventHealth, RolloutView
from controller.wire.phrases import condition_text

#: The colour of a phase's or a state's badge; its word is always written on it.
_COLOURS = {
    "progressing": "ok",
    "promoted": "ok",
    "paused": "warn",
    "rolling_back": "bad",
    "rolled_back": "bad",
    "pass": "ok",
    "inconclusive": "idle",
    "fail": "bad",
    "live": "ok",
    "expired": "warn",
    "unverifiable": "warn",
    "done": "ok",
    "refused": "bad",
    "missed": "warn",
    "delivered": "ok",
    "dead": "bad",
}
_SHAPED = Markup('<time datetime="{}" data-format="{}">{}</time>')
_PLAIN = Markup('<time datetime="{0}">{2}</time>')
_ACT_COLOURS = {"promote": "ok", "verify": "ok", "pause": "warn", "rollback": "bad"}


def moment(at_ms: int | None) -> str | Markup:
    """A time as an element that the script shows in the reader's zone, and that reads as UTC without it."""
    return "not yet" if at_ms is None else _time(at_ms, "", "{} UTC")


def ago(at_ms: int | None) -> str | Markup:
    """The same, shown as an age that grows: `3 min ago`."""
    return "never" if at_ms is None else _time(at_ms, "relative", "{} UTC")


def left(at_ms: int | None) -> str | Markup:
    """A moment to come, shown as the time until then, which the script counts down: `4 min 10 s`."""
    return "-" if at_ms is None else _time(at_ms, "left", "the time until {} UTC")


def elapsed(at_ms: int | None) -> str | Markup:
    """A moment that has passed, shown as the time since then, which the script counts up."""
    return "-" if at_ms is None else _time(at_ms, "elapsed", "the time since {} UTC")


def percent(value: float | None, digits: int = 1) -> str:
    """`99.6 %`; a dash where nothing was counted. Rounded down: nothing below a line is shown as on it."""
    if value is None:
        return "-"
    scale = 10**digits
    return f"{math.floor(value * scale + 1e-6) / scale:.{digits}f} %"


def share(value: float) -> str:
    """A share in full: `0.01 %`, `10 %`."""
    return f"{value:g} %"


def span(ms: int | None) -> str:
    """A duration for people: `4 min 10 s`."""
    if ms is None:
        return "-"
    seconds = -(-ms // 1000)
    for size, name, rest_size, rest_name in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // rest_size
            return f"{seconds // size} {name}" + (f" {rest} {rest_name}" if rest else "")
    return f"{seconds} s"


def since(at_ms: int | None, from_ms: int | None) -> str:
    """How long after another moment: `+0.42 s`."""
    return "" if at_ms is None or from_ms is None else f"{(at_ms - from_ms) / 1000:+.2f} s"


def units(milli: int) -> str:
    """Milli-units as units: `12.5`."""
    return f"{milli / UNIT:,g}" if milli % UNIT else f"{milli // UNIT:,}"


def colour(word: str) -> str:
    """The badge of a phase, verdict or state."""
    return _COLOURS.get(word, "idle")


def act_colour(action: str) -> str:
    """The dot of an act on the timeline."""
    return _ACT_COLOURS.get(action, "")


def failing(view: RolloutView) -> bool:
    """Whether the judge speaks against a rollout that is live."""
    return Phase(view.phase).live and view.analysis is not None and view.analysis.verdict == "fail"


def tone(view: RolloutView) -> str:
    """How loud a rollout's row is."""
    if view.phase == Phase.ROLLING_BACK or failing(view):
        return "bad"
    return "warn" if needs_attention(view) else ""


def pretty(document: Any) -> str:
    """Numbers behind a decision."""
    return json.dumps(document, indent=1, sort_keys=True)


def by_event(health: list[EventHealth]) -> list[tuple[str, dict[str, EventHealth]]]:
    """Each event with its two arms by name, in the order of the manifest."""
    found: dict[str, dict[str, EventHealth]] = {}
    for row in health:
        found.setdefault(row.event_type, {})[row.arm] = row
    return list(found.items())


def _time(at_ms: int, shape: str, text: str) -> Markup:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    element = _SHAPED if shape else _PLAIN
    return element.format(at.isoformat(timespec="milliseconds"), shape, text.format(at.strftime("%Y-%m-%d %H:%M:%S")))


FILTERS: dict[str, Callable[..., Any]] = {
    "moment": moment,
    "ago": ago,
    "left": left,
    "elapsed": elapsed,
    "percent": percent,
    "share": share,
    "span": span,
    "since": since,
    "units": units,
    "colour": colour,
    "act_colour": act_colour,
    "failing": failing,
    "tone": tone,
    "pretty": pretty,
    "by_event": by_event,
    "bars": bars,
    "worst": worst,
    "changes": changes,
    "in_words": condition_text,
}
