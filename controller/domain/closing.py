"""How evidence that has arrived becomes a slot: merged, with the users, instances and versions that failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from controller.domain.judge.reading import stand_in
from controller.domain.judge.state import JudgeState
from controller.domain.ledger import Apart, Gauges, RowKey, Slot, Users, ledger_rows
from controller.domain.metrics import DELIVERY
from controller.domain.outcomes import Arm
from controller.domain.rollouts import Rollout
from controller.domain.samples import active_users, open_units
from controller.domain.tallies import MOST_USERS, UNIT, Tally

_MOST_VERSIONS = 20
_NOTHING = Tally()


class Arrived(NamedTuple):
    """One row of evidence that waits for its slot; `users` are short keyed hashes of users who failed."""

    epoch: int
    arm: str
    stream: str
    failed: int
    total: int
    instance: str = ""
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known besides the evidence when a slot is closed.

    Attributes:
        open: gauges by (arm, stream).
        users: distinct users of the present epoch.
        versions: application version by instance.
    """

    open: Mapping[tuple[str, str], int]
    users: Users
    versions: Mapping[str, str]


def close_slot(
    rollout: Rollout, state: JudgeState, arrived: Iterable[Arrived], around: Surroundings, now_ms: int
) -> Slot:
    """The next slot of a rollout; the same arguments give the same slot, whatever order the evidence came in."""
    plan = rollout.plan
    rows = sorted(row for row in arrived if row.epoch >= state.first_epoch)
    tallies: dict[RowKey, Tally] = {}
    for row in rows:
        key = (row.epoch, row.arm, row.stream)
        tallies[key] = tallies.get(key, _NOTHING).plus(Tally(row.failed, row.total))
    canary = [row for row in rows if row.arm == Arm.CANARY]
    delivery = DELIVERY.firsts(plan.events)
    gauges = Gauges(
        open=open_units(around.open, Arm.CANARY.value),
        control_open=open_units(around.open, Arm.CONTROL.value),
        active=active_users(around.open, Arm.CANARY.value),
        users=around.users,
        failing=_failing(canary, state.seq + 1),
        apart=_apart(canary, state),
        versions=_versions([row for row in canary if row.stream in delivery], around.versions),
    )
    found = ledger_rows(tallies, plan.unit, plan.families, plan.events)
    return Slot(state.seq + 1, now_ms, rollout.epoch, rollout.weight, found, gauges)


def _failing(canary: Iterable[Arrived], seq: int) -> dict[str, tuple[str, ...]]:
    """Users who failed, by stream; a stream with failures of nobody known is left out.

    Beside those who are known, each failed unit of an instance that names nobody stands for a user of its own.
    """
    found: dict[str, set[str]] = {}
    unnamed: dict[str, int] = {}
    for row in canary:
        if row.failed and row.users:
            found.setdefault(row.stream, set()).update(row.users)
        elif row.failed:
            unnamed[row.stream] = unnamed.get(row.stream, 0) - (-row.failed // UNIT)
    others = {stream: [stand_in(seq, at) for at in range(unnamed.get(stream, 0))][:MOST_USERS] for stream in found}
    return {stream: tuple([*sorted(users), *others[stream]][:MOST_USERS]) for stream, users in sorted(found.items())}


def _apart(canary: Iterable[Arrived], state: JudgeState) -> dict[str, Apart]:
    """Of each stream, the instance that is or becomes the suspect; none is looked at where several have failed."""
    by_stream: dict[str, dict[str, Tally]] = {}
    for row in canary:
        of_stream = by_stream.setdefault(row.stream, {})
        of_stream[row.instance] = of_stream.get(row.instance, _NOTHING).plus(Tally(row.failed, row.total))
    found = {}
    for stream, tallies in sorted(by_stream.items()):
        failing = {name: tally for name, tally in tallies.items() if tally.failed}
        suspect = state.suspects.get(stream)
        if (suspect is None and not failing) or (suspect is not None and suspect.mixed):
            continue
        name = suspect.instance if suspect else max(failing, key=lambda each: (failing[each].failed, each))
        own = tallies.get(name, _NOTHING)
        found[stream] = Apart(name, own.failed, own.total, bool(failing.keys() - {name}))
    return found


def _versions(delivery: Iterable[Arrived], versions: Mapping[str, str]) -> dict[str, Tally]:
    found: dict[str, Tally] = {}
    for row in delivery:
        version = versions.get(row.instance, "")
        if version and (version in found or len(found) < _MOST_VERSIONS):
            found[version] = found.get(version, _NOTHING).plus(Tally(row.failed, row.total))
    return dict(sorted(found.items()))


def failing_versions(state: JudgeState, allowed_ppm: int) -> tuple[str, ...]:
    """The application versions to be quarantined: those that failed more than is allowed, or else all that failed."""
    failed = {version: counts for version, counts in state.versions.items() if version and counts[0]}
    worse = [version for version, (bad, total) in failed.items() if 1_000_000 * bad > allowed_ppm * total]
    return tuple(sorted(worse or failed))
