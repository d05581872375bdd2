"""`canary backtest`: another policy over the evidence of rollouts that are over or under way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from controller.cli.failures import Failed
from controller.cli.ledgers import fetched
from controller.cli.manifests import read_manifest
from controller.cli.options import Json
from controller.cli.output import clock_text, emit, filled, show, span_text, table
from controller.cli.planning import progress
from controller.cli.plots import backtest_plot, checked_plot
from controller.cli.remote import Remote, remote, rollout_path
from controller.clock import system_clock
from controller.domain.errors import Refusal
from controller.domain.plans import Plan
from controller.usecases.what_if.backtest import backtest, check_policy
from controller.wire.api.judging import ImpactView, RoundView, SlotView
from controller.wire.api.rollouts import RolloutView
from controller.wire.api.what_if import BacktestView
from controller.wire.manifests import Manifest, plan_of

_VERDICTS = {
    "earlier": "earlier than it was rolled back",
    "same": "at the same moment",
    "later": "later than it was rolled back",
    "only_policy": "though it was never rolled back",
    "only_recorded": "not at all, though it was rolled back",
    "neither": "not at all, and it was not rolled back",
}


def backtest_(  # noqa: PLR0913, PLR0917 - the options of a backtest
    context: typer.Context,
    file: Annotated[str, typer.Option("--file", "-f", help="The policy: a manifest, YAML or JSON; - reads stdin.")],
    key: Annotated[str, typer.Option("--rollout", help="The rollout; or give a period.")] = "",
    since: Annotated[str, typer.Option("--from", help="Rollouts since this day or time (UTC), 2026-11-25.")] = "",
    until: Annotated[str, typer.Option("--to", help="... and before this one.")] = "",
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the last round, too: a .png or .svg file.")] = None,
    as_json: Json = False,
) -> None:
    """Tell when another policy would have acted on stored evidence, and the failed events that it would have saved."""
    if bool(key) == bool(since):
        raise typer.BadParameter("give --rollout KEY, or --from (and --to), and not both")
    picture = checked_plot(plot) if plot else None
    policy = plan_of(read_manifest(file).content)
    found: list[BacktestView] = []
    with remote(context) as api:
        if key:
            found += _of_rollout(api, policy, key)
        else:
            found += _of_period(api, policy, _moment(since, "--from"), _moment(until, "--to") if until else None)
    if picture and found:
        backtest_plot(found[-1], picture)
    if as_json:
        return emit(found)
    made = table("rollout", ">round", "would have acted", "", ">failed events")
    show(filled(made, map(_row, found), "nothing to try it on"))
    return show(*(Text(f"{one.rollout}, round {one.round}: {one.sentence}", style="dim") for one in found))


def _of_period(api: Remote, policy: Plan, from_ms: int, to_ms: int | None) -> Iterator[BacktestView]:
    """All rollouts that were live in a period; one whose evidence does not fit the policy is named and left out."""
    keys = _keys(api, from_ms, to_ms)
    with progress("backtesting", len(keys)) as done:
        for at, key in enumerate(keys):
            try:
                yield from _of_rollout(api, policy, key)
            except Failed as failed:
                typer.echo(f"{key} is left out: {failed}", err=True)
            done(at)


def _of_rollout(api: Remote, policy: Plan, key: str) -> Iterator[BacktestView]:
    rounds: dict[int, RoundView] = {}
    slots: list[SlotView] = []
    manifest: Manifest | None = None
    for page in fetched(api, key):
        rounds |= {one.round: one for one in page.rounds}
        slots += page.slots
        manifest = manifest or page.manifest
    if manifest is None:
        raise Failed("The ledger cannot be read", f"{key} has no manifest")
    try:
        check_policy(policy, plan_of(manifest))
        for begun, of_round in _split(rounds, slots):
            yield _with_failures(api, backtest(key, policy, begun, of_round))
    except Refusal as refusal:
        raise Failed(refusal.title, refusal.detail, field=refusal.field or "", code=refusal.code) from None


def _split(rounds: dict[int, RoundView], slots: Sequence[SlotView]) -> Iterator[tuple[RoundView, list[SlotView]]]:
    ordered = [rounds[number] for number in sorted(rounds)]
    for at, begun in enumerate(ordered):
        end = ordered[at + 1].first_seq if at + 1 < len(ordered) else float("inf")
        of_round = [slot for slot in slots if begun.first_seq <= slot.seq < end]
        if of_round:
            yield begun, of_round


def _with_failures(api: Remote, view: BacktestView) -> BacktestView:
    """What failed on the canary between the two moments: saved by the earlier policy, or the price of the later one."""
    if view.would_ms is None or view.verdict in ("same", "later"):
        return view
    until_ms = view.acted_ms or view.ended_ms or system_clock()
    path = rollout_path(view.rollout, "impact")
    harm = api.get(path, ImpactView, from_ms=view.would_ms, to_ms=max(view.would_ms, until_ms))
    return msgspec.structs.replace(view, failed_events=harm.failed)


def _keys(api: Remote, from_ms: int, to_ms: int | None) -> list[str]:
    found = api.items("/api/v1/rollouts", RolloutView)
    return [
        one.key
        for one in found
        if one.round
        and (one.ended_ms or system_clock()) >= from_ms
        and (to_ms is None or (one.started_ms or 0) < to_ms)
    ]


def _moment(text: str, option: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{option}: {text!r} is no day or time such as 2026-11-25 or 2026-11-25T18:00"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _row(one: BacktestView) -> tuple[str, ...]:
    when = "-" if one.would_ms is None else f"{one.would_action} at {clock_text(one.would_ms)}"
    words = _VERDICTS[one.verdict]
    if one.would_ms is not None and one.acted_ms is not None and one.verdict != "same":
        words = f"{span_text(abs(one.acted_ms - one.would_ms))} {words}"
    failed = "-" if one.failed_events is None else f"{one.failed_events:,} fewer"
    return one.rollout, str(one.round), when, words, failed
