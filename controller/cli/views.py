"""Rollouts for people: the same parts make `rollout list`, `show`, `status` and the live view of `watch`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from controller.cli.output import clock_text, filled, percent, span_text, table
from controller.domain.durations import duration_text
from controller.domain.outcomes import Arm
from controller.wire.api.judging import DecisionView
from controller.wire.api.rollouts import EventHealth, RolloutView, StreamView, VerificationView

#: Phases that nothing follows; a phase that this release does not know is not among them.
FINAL = ("promoted", "rolled_back", "aborted")
#: A live instance that has not confirmed a rollback by then is an alarm.
ALARM_MS = 60_000

_PHASE_STYLES = {
    "progressing": "bold cyan",
    "paused": "bold yellow",
    "rolling_back": "bold red",
    "rolled_back": "bold red",
    "promoted": "bold green",
}
_VERDICT_STYLES = {"pass": "green", "fail": "bold red"}
_BAR = 28
_MOST_NAMED = 5
#: Streams that are an arm: how often users leave, compared between the two.
_ARMS = frozenset(arm.value for arm in Arm)


def listing(found: Iterable[RolloutView]) -> RenderableType:
    """One line for each rollout."""
    columns = ("rollout", "flag", "phase", "stage", ">share", "verdict", ">version")
    rows = ((r.key, r.flag, phase(r), stage(r), percent(r.share_percent), verdict(r), r.version) for r in found)
    return filled(table(*columns), rows, "no rollouts yet")


def status(view: RolloutView) -> RenderableType:
    """Where it stands, in two or three lines."""
    head = Text.assemble(view.key, ": ", phase(view), f", stage {stage(view)}, {percent(view.share_percent)} on canary")
    if view.bake_left_ms is not None and view.phase not in FINAL:
        head.append(f", {_bake(view.bake_left_ms)}")
    lines: list[RenderableType] = [head]
    if said := message(view):
        lines.append(said)
    if view.verification is not None:
        lines.append(Text(f"rollback {view.verification.sentence}"))
    return Group(*lines)


def card(view: RolloutView, now_ms: int) -> Group:
    """Everything that bears on it now: share, health of both arms, evidence, verdict, verification and times."""
    parts: list[RenderableType] = [_head(view), Text()]
    if view.health:
        parts += [_health(view), Text()]
    if view.analysis is not None and view.analysis.evidence:
        parts += [_evidence(view.analysis.evidence), Text()]
    if said := message(view):
        parts += [Text.assemble((f"{verdict(view).plain}: ", "bold"), said)]
    if view.verification is not None:
        parts += [Text(), *_verification(view, view.verification, now_ms)]
    return Group(*parts, *_times(view))


def details(view: RolloutView) -> RenderableType:
    """What it was told to do."""
    floor = "taken from the control at start" if view.floor_percent is None else percent(view.floor_percent)
    steps = " -> ".join(f"{percent(s.share_percent)} for {duration_text(s.bake_ms)}" for s in view.stages)
    facts: list[tuple[str, str]] = [
        ("flag", view.flag),
        ("moves", f"{view.control} (control) to {view.canary} (canary)"),
        ("stages", steps),
        ("floor", floor),
        ("unit", view.unit),
        ("events", ", ".join(view.events)),
        ("owner", view.owner),
        ("note", view.note),
        ("version", str(view.version)),
        ("created", clock_text(view.created_ms)),
        ("started", clock_text(view.started_ms)),
        ("ended", clock_text(view.ended_ms)),
    ]
    return filled(table("", ""), (fact for fact in facts if fact[1] not in ("", "-")), "")


def history(found: Iterable[DecisionView]) -> RenderableType:
    """Each act on a rollout with its reason."""
    rows = (
        (clock_text(d.at_ms), d.actor, d.action, f"{d.from_phase} -> {d.to_phase}", percent(d.share_percent), d.message)
        for d in found
    )
    return filled(table("when", "who", "action", "phase", ">share", "why"), rows, "no decisions yet")


def phase(view: RolloutView) -> Text:
    """The phase in its colour."""
    return Text(view.phase.replace("_", " "), style=_PHASE_STYLES.get(view.phase, ""))


def stage(view: RolloutView) -> str:
    """`2/4`; a dash while it is a draft."""
    return "-" if view.stage_started_ms is None else f"{view.stage + 1}/{len(view.stages)}"


def verdict(view: RolloutView) -> Text:
    """The judge's last word."""
    said = view.analysis.verdict if view.analysis else "-"
    return Text(said, style=_VERDICT_STYLES.get(said, ""))


def message(view: RolloutView) -> Text | None:
    """The judge's last sentence."""
    return Text(view.analysis.message) if view.analysis and view.analysis.message else None


def _bake(left_ms: int) -> str:
    return f"{span_text(left_ms)} left to bake" if left_ms > 0 else "baked"


def _bar(fraction: float, style: str) -> ProgressBar:
    bounded = min(1.0, max(0.0, fraction))
    return ProgressBar(total=1.0, completed=bounded, width=_BAR, complete_style=style, finished_style=style)


def _head(view: RolloutView) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_row(Text(view.key, style="bold"), phase(view), Text(f"stage {stage(view)}"))
    share = Text(f"{percent(view.share_percent)} on {view.canary}")
    left = view.bake_left_ms is not None and view.phase not in FINAL
    bake = Text(_bake(view.bake_left_ms or 0) if left else "", style="dim")
    grid.add_row(share, _bar(view.share_percent / 100, "cyan"), bake)
    return grid


def _health(view: RolloutView) -> RenderableType:
    made = table("event", f">control: {view.control}", ">outcomes", f">canary: {view.canary}", ">outcomes")
    rows = ((name, *_arm(control), *_arm(canary)) for name, control, canary in _pairs(view.health))
    return filled(made, rows, "")


def _pairs(health: Iterable[EventHealth]) -> Iterator[tuple[str, EventHealth | None, EventHealth | None]]:
    by_arm = {(found.event_type, found.arm): found for found in health}
    for name in dict.fromkeys(event_type for event_type, _ in by_arm):
        yield name, by_arm.get((name, Arm.CONTROL)), by_arm.get((name, Arm.CANARY))


def _arm(health: EventHealth | None) -> tuple[Text, str]:
    if health is None or health.success_percent is None:
        return Text("-"), "-"
    style = "green" if health.success_percent >= 95 else "bold red"
    return Text(f"{health.success_percent:.2f} %", style=style), f"{health.delivered + health.failed:,}"


def _evidence(streams: Collection[StreamView]) -> Table:
    several = len({stream.guard for stream in streams if stream.stream not in _ARMS}) > 1
    grid = Table.grid(padding=(0, 2))
    grid.add_row(Text("evidence against the canary", style="bold"), Text("its line", style="dim"))
    for stream in streams:
        if stream.stream in _ARMS and not stream.total_milli_units:
            continue  # a comparison of the arms by how users left; silent until some have
        # Every stream starts above half its line: what counts as bad from the start convicts soonest.
        close = stream.percent_of_line >= 50 and stream.failed_milli_units
        style = "red" if close else "yellow"
        failed, total = stream.failed_milli_units / 1000, stream.total_milli_units / 1000
        units = Text(f"{stream.percent_of_line:.0f} %   {failed:g} of {total:g} units failed")
        name = f"{stream.guard}: {stream.stream}" if several or stream.stream in _ARMS else stream.stream
        grid.add_row(Text(name), _bar(stream.percent_of_line / 100, style), units)
    return grid


def _verification(view: RolloutView, found: VerificationView, now_ms: int) -> Iterator[RenderableType]:
    style = "bold green" if found.complete else "bold yellow"
    yield Text.assemble(("rollback ", "bold"), (found.sentence, style), f"   canary runs left: {found.open_runs}")
    yield _bar(found.confirmed / max(1, found.confirmed + len(found.missing)), "green")
    for one in found.missing[:_MOST_NAMED]:
        yield Text(f"  waiting for {one.get('instance', '?')}: {one.get('why', '')}", style="yellow")
    if len(found.missing) > _MOST_NAMED:
        yield Text(f"  and {len(found.missing) - _MOST_NAMED} more", style="yellow")
    if not found.complete and view.decided_ms is not None:
        yield _countdown(max(0, now_ms - view.decided_ms))


def _countdown(since_ms: int) -> Text:
    if since_ms < ALARM_MS:
        return Text(f"  {span_text(since_ms)} since the decision; an alarm in {span_text(ALARM_MS - since_ms)}")
    return Text(f"  {span_text(since_ms)} since the decision: look at these instances", style="bold red")


def _times(view: RolloutView) -> Iterator[RenderableType]:
    if view.decided_ms is None or view.detected_ms is None:
        return
    found = view.verification
    times = [("detected", view.detected_ms), ("decided", view.decided_ms)]
    if found is not None:
        times += [("applied by the first instance", found.first_applied_ms or 0)]
        times += [("applied by the last instance", found.last_applied_ms or 0)]
        times += [("last canary exposure", found.last_exposure_ms or 0)]
    times += [("verified", view.verified_ms or 0)]
    rows = ((name, clock_text(ms), _after(ms - view.detected_ms)) for name, ms in times if ms)
    yield Text()
    yield filled(table("", "", ">"), rows, "")


def _after(ms: int) -> str:
    return f"{'+' if ms >= 0 else '-'}{span_text(abs(ms))}"
