"""The ingest transaction: what several reports say, merged and written together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from sqlalchemy import Connection, select

from controller.domain.outcomes import Arm
from controller.domain.samples import SampleKey
from controller.domain.tallies import Counts, EvidenceKey, Proof
from controller.domain.windows import WindowKey
from controller.storage import batches, evidence, instances, outcomes, users, windows
from controller.storage.batches import Batch
from controller.storage.tables import counters


class _Adds(Protocol):
    def plus(self, other: Self) -> Self: ...


K = TypeVar("K")
V = TypeVar("V", bound=_Adds)


@dataclass(frozen=True, slots=True)
class Written:
    """What a transaction came to.

    Attributes:
        fresh: the reports that were never seen before.
        failing: rollouts whose canary has new failed evidence.
        strays: evidence rows dropped because their rollout takes none.
        revision: the newest snapshot revision, for the receipts.
    """

    fresh: list[Batch]
    failing: set[str]
    strays: int
    revision: int


def write(connection: Connection, group: Sequence[Batch]) -> Written:
    """Write a group of reports, each batch id once.

    Every table's rows are written in sorted order and the tables in one order, so that processes that share a
    database can wait for each other but never in a circle.
    """
    first_of = {batch.id: batch for batch in reversed(group)}
    claimed = batches.claim(connection, first_of.values())
    fresh = [first_of[key] for key in dict.fromkeys(batch.id for batch in group) if key in claimed]
    known = evidence.taking(connection, {key for batch in fresh for key in evidence.rollouts_of(batch)})
    repeats = [batch for batch in group if batch.id not in claimed]
    timely = instances.update_from(connection, fresh, repeats)
    instances.replace_arms(connection, timely)
    evidence.replace_open_units(connection, timely, known)
    proofs = merged(_by_instance(batch) for batch in fresh)
    kept = {key: proof for key, proof in proofs.items() if key[0].rollout in known}
    evidence.append(connection, kept)
    users.append(connection, _users(fresh, known))
    counts: dict[WindowKey, Counts] = merged(batch.windows for batch in fresh)
    windows.add(connection, counts)
    outcomes.append(connection, [outcome for batch in fresh for outcome in batch.outcomes])
    failing = failing_in(kept)
    evidence.notify(connection, failing)
    return Written(fresh, failing, len(proofs) - len(kept), _revision(connection))


def merged(parts: Iterable[Mapping[K, V]]) -> dict[K, V]:
    """The sum of several mappings of things that add up."""
    total: dict[K, V] = {}
    for part in parts:
        for key, value in part.items():
            total[key] = total[key].plus(value) if key in total else value
    return total


def failing_in(proofs: Mapping[tuple[EvidenceKey, str], Proof]) -> set[str]:
    """The rollouts whose canary failed."""
    return {key.rollout for (key, _), proof in proofs.items() if key.arm == Arm.CANARY and proof.tally.failed}


def _by_instance(batch: Batch) -> dict[tuple[EvidenceKey, str], Proof]:
    return {(key, batch.instance.id): proof for key, proof in batch.evidence.items()}


def _users(fresh: Iterable[Batch], known: Collection[str]) -> dict[SampleKey, list[str]]:
    """Users as often as there are reports that name them: one that comes from two instances has moved."""
    found: dict[SampleKey, list[str]] = {}
    for batch in fresh:
        for key, tags in batch.users.items():
            if key.rollout in known:
                found.setdefault(key, []).extend(set(tags))
    return found


def _revision(connection: Connection) -> int:
    return int(connection.execute(select(counters.c.value).where(counters.c.name == "revision")).scalar_one())
