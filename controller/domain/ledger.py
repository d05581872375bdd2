"""Evidence in the order of its arrival: slots that the judge reads, one closed by each evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias

from controller.domain.metrics import POOLED, Family, UnitKind
from controller.domain.tallies import Tally

#: The judge may restart a stream once in this many milliseconds.
SLOT_MS = 10_000

#: What a slot adds up: evidence epoch, arm and stream.
RowKey: TypeAlias = tuple[int, str, str]


class LedgerRow(NamedTuple):
    """What one slot holds for an evidence epoch, an arm and a stream, in milli-units."""

    epoch: int
    arm: str
    stream: str
    failed: int
    total: int


class Apart(NamedTuple):
    """What one instance contributed to a stream of the canary, and whether any other instance failed in it too."""

    instance: str
    failed: int
    total: int
    others_failed: bool = False


class Users(NamedTuple):
    """Distinct users of the present epoch by arm: those of a sample of one in 2^level, the same for both arms."""

    canary: int = 0
    control: int = 0
    level: int = 0


NO_USERS = Users()


@dataclass(frozen=True, slots=True)
class Gauges:
    """What a slot holds besides tallies.

    Attributes:
        open, control_open: units of the arm attempted without an outcome yet, by gauge.
        active: canary users of the last ten minutes as far as they are counted (see `ActiveUsers`); None where no
            client says so.
        failing: of each stream in which the canary failed, up to three users who did, as short keyed hashes.
        apart: of each stream in which the canary failed, the one instance that is looked at.
        versions: by application version, the canary's milli-units of delivery.
    """

    open: Mapping[str, int] = field(default_factory=dict)
    control_open: Mapping[str, int] = field(default_factory=dict)
    active: int | None = None
    users: Users = NO_USERS
    failing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    apart: Mapping[str, Apart] = field(default_factory=dict)
    versions: Mapping[str, Tally] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """The stored form; what says nothing is left out."""
        found = {
            "open": dict(self.open),
            "control_open": dict(self.control_open),
            "active": self.active,
            "users": list(self.users) if self.users != NO_USERS else None,
            "failing": {stream: list(users) for stream, users in self.failing.items()},
            "apart": {stream: list(apart) for stream, apart in self.apart.items()},
            "versions": {version: list(tally) for version, tally in self.versions.items()},
        }
        return {name: value for name, value in found.items() if value not in (None, {})}


def gauges_from(raw: Mapping[str, Any]) -> Gauges:
    """The gauges as they were stored."""
    return Gauges(
        open=raw.get("open", {}),
        control_open=raw.get("control_open", {}),
        active=raw.get("active"),
        users=Users(*raw.get("users", ())),
        failing={stream: tuple(users) for stream, users in raw.get("failing", {}).items()},
        apart={stream: Apart(*apart) for stream, apart in raw.get("apart", {}).items()},
        versions={version: Tally(*tally) for version, tally in raw.get("versions", {}).items()},
    )


NO_GAUGES = Gauges()


@dataclass(frozen=True, slots=True)
class Slot:
    """One step of evidence.

    Attributes:
        seq: 1, 2, 3 ... within the round, without gaps.
        closed_ms: when the evaluation closed it.
        epoch: the evidence epoch then in force; promotion counts rows of this epoch alone.
        weight: the canary's share then in force, in parts of 10,000.
        rows: sorted; rows of older epochs still count against the canary.
    """

    seq: int
    closed_ms: int
    epoch: int
    weight: int
    rows: tuple[LedgerRow, ...] = ()
    gauges: Gauges = NO_GAUGES

    @property
    def boundary(self) -> int:
        """The number of the 10-second interval it was closed in."""
        return self.closed_ms // SLOT_MS

    def digest(self, before: str) -> str:
        """A hash of everything it holds, chained to the slot before it: a changed or missing row is found by it."""
        held = [before, self.seq, self.closed_ms, self.epoch, self.weight, sorted(self.rows), self.gauges.plain()]
        return blake2b(json.dumps(held, sort_keys=True, separators=(",", ":")).encode(), digest_size=16).hexdigest()


#: Above this share there is no concurrent control to speak of.
_MOST_COMPARED = 9_500


def has_concurrent_control(weight: int) -> bool:
    """Whether a share (in parts of 10,000) leaves a control to compare with."""
    return weight <= _MOST_COMPARED


def ledger_rows(
    tallies: Mapping[RowKey, Tally], kind: UnitKind, families: tuple[Family, ...], events: tuple[str, ...]
) -> tuple[LedgerRow, ...]:
    """Sorted rows of (epoch, arm, stream) tallies; by event, the pooled streams are added up here."""
    merged = dict(tallies)
    if kind is UnitKind.EVENT:
        many = [family for family in families if len(family.firsts(events)) > 1]
        pools = {stream: family.stream(POOLED) for family in many for stream in family.firsts(events)}
        for (epoch, arm, stream), tally in tallies.items():
            if pool := pools.get(stream):
                key = (epoch, arm, pool)
                merged[key] = merged.get(key, Tally()).plus(tally)
    return tuple(sorted(LedgerRow(*key, *tally) for key, tally in merged.items() if tally.total))
