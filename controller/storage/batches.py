"""A report made ready for writing, and the batch ids by which a repeat is known and counted once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache

from sqlalchemy import Connection, Executable

from controller.domain.instances import Instance, InstanceArm
from controller.domain.samples import SampleKey
from controller.domain.tallies import Counts, EvidenceKey, Proof
from controller.domain.windows import WINDOW_MS, WindowKey
from controller.storage import upserts
from controller.storage.outcomes import Outcome
from controller.storage.tables import batches

#: A unit gauge: rollout, arm and stream.
GaugeKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Batch:
    """One checked report, with every age turned into a time.

    Attributes:
        id: the idempotency key.
        instance: the sender as it describes itself now; `last_contact_ms` is when the report was received.
        arms, open_units: gauges; each replaces the one reported before, what is absent has not changed.
        users: distinct users new to the sender, as sampled tags.
        windows, evidence, outcomes: what happened since the sender's last report; they add up.
    """

    id: str
    instance: Instance
    arms: tuple[InstanceArm, ...] = ()
    open_units: Mapping[GaugeKey, int] = field(default_factory=dict)
    windows: Mapping[WindowKey, Counts] = field(default_factory=dict)
    evidence: Mapping[EvidenceKey, Proof] = field(default_factory=dict)
    users: Mapping[SampleKey, Collection[str]] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()

    @property
    def received_ms(self) -> int:
        """When it was received."""
        return self.instance.last_contact_ms

    @property
    def rows(self) -> int:
        """How many rows it writes, about."""
        parts = (self.arms, self.open_units, self.windows, self.evidence, self.outcomes, *self.users.values())
        return 2 + sum(len(part) for part in parts)


#: Of one report, so many ages are looked at.
_MOST_LAGS = 20


def lags(batch: Batch) -> list[int]:
    """How old some of a report's events were when it arrived, in milliseconds; by the windows, where that is all."""
    found = [batch.received_ms - one.at_ms for one in batch.outcomes[:_MOST_LAGS]]
    if not found:
        middles = (key.starts_ms + WINDOW_MS // 2 for key in list(batch.windows)[:_MOST_LAGS])
        found = [batch.received_ms - at_ms for at_ms in middles]
    return [max(0, age_ms) for age_ms in found]


def claim(connection: Connection, found: Collection[Batch]) -> set[str]:
    """Write the ids of batches that were never seen before, and return those.

    Another process that is just writing one of them is waited for: only after its commit is a repeat a repeat.
    Ids are written in sorted order, so that two processes never wait for each other.
    """
    rows = [
        {"batch": batch.id, "instance": batch.instance.id, "received_ms": batch.received_ms}
        for batch in sorted(found, key=lambda batch: batch.id)
    ]
    return set(connection.execute(_claim(connection.dialect.name), rows).scalars())


@cache
def _claim(dialect: str) -> Executable:
    return upserts.insert(dialect, batches).on_conflict_do_nothing().returning(batches.c.batch)
