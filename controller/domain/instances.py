"""The clients that serve users: who is live, who has confirmed a rollback, and who cannot be asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

#: An instance silent for its contact lease and this much longer is presumed gone.
GRACE_MS = 5_000


class InstanceState(StrEnum):
    """live; expired (presumed gone); gone (said so itself)."""

    LIVE = "live"
    EXPIRED = "expired"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Instance:
    """One client process as it last reported.

    Attributes:
        reports: False for an evaluator that fetches snapshots but never reports: it can confirm nothing.
        revision: the snapshot revision it has applied.
        applied_ms: when it applied it, by the server's clock.
        seq: number of its newest report; older ones never overwrite what it said.
        dropped: raw outcomes that it had to drop; unadmitted: units that its full book could not take;
        unproved: attempts without a user or run, which weigh nothing; trips: how often its own breaker has taken users
            back to the control.
        attempted ... pending: what it says it has counted. All since its start.
        received: attempts that have arrived here in its counts.
        clock_offset_ms: its wall clock minus the server's, at its last contact; shown, and used for nothing.
    """

    id: str
    last_contact_ms: int
    reports: bool = True
    revision: int = 0
    applied_ms: int | None = None
    seq: int = 0
    first_seen_ms: int = 0
    closed_ms: int | None = None
    app_version: str = ""
    region: str = ""
    sdk: str = ""
    dropped: int = 0
    unadmitted: int = 0
    unproved: int = 0
    attempted: int = 0
    delivered: int = 0
    failed: int = 0
    abandoned: int = 0
    interrupted: int = 0
    pending: int = 0
    received: int = 0
    clock_offset_ms: int | None = None
    trips: int = 0

    @property
    def unsettled(self) -> int:
        """Attempts without an outcome: those that wait, and in a lost instance those whose fate is unknown."""
        return self.attempted - self.delivered - self.failed - self.abandoned - self.interrupted

    def unknown(self, now_ms: int, lease_ms: int) -> int:
        """Attempts whose outcome nobody will ever know: all that a lost instance had open when it was last heard."""
        return self.unsettled if self.state(now_ms, lease_ms) is InstanceState.EXPIRED else 0

    @property
    def unreconciled(self) -> int:
        """By how much its own figures do not add up: attempted against settled and waiting."""
        return abs(self.unsettled - self.pending)

    def state(self, now_ms: int, lease_ms: int) -> InstanceState:
        """Whether it is still there."""
        if self.closed_ms is not None:
            return InstanceState.GONE
        silent = now_ms - self.last_contact_ms
        return InstanceState.EXPIRED if silent > lease_ms + GRACE_MS else InstanceState.LIVE


@dataclass(frozen=True, slots=True)
class Contact:
    """An instance fetched a snapshot or holds a stream.

    Attributes:
        revision: the snapshot revision that it was given.
    """

    instance: str
    reports: bool
    revision: int
    at_ms: int
    sdk: str = ""
    clock_offset_ms: int | None = None


@dataclass(frozen=True, slots=True)
class InstanceArm:
    """What an instance last said of one variant of a flag.

    Attributes:
        open_runs: runs still on this variant.
        exposures: evaluations that were used, since its start.
        since_applied: exposures since it applied its present revision.
        last_exposure_ms: by the server's clock.
    """

    instance: str
    flag_key: str
    variant: str
    open_runs: int = 0
    exposures: int = 0
    since_applied: int = 0
    last_exposure_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """A live instance that has not confirmed, and why."""

    instance: str
    why: str


@dataclass(frozen=True, slots=True)
class Verification:
    """How far a rollback has got.

    Attributes:
        missing: live instances that have not confirmed; empty means verified.
        expired: silent beyond their lease, presumed gone; unverifiable: live, but they do not report.
        first_applied_ms, last_applied_ms: over the confirmed instances.
        last_exposure_ms: the canary's last exposure anywhere.
    """

    confirmed: int
    expired: int
    unverifiable: int
    missing: tuple[Missing, ...]
    open_runs: int
    first_applied_ms: int | None = None
    last_applied_ms: int | None = None
    last_exposure_ms: int | None = None

    @property
    def complete(self) -> bool:
        """Whether every live instance that can confirm has done so."""
        return not self.missing

    @property
    def sentence(self) -> str:
        """`verified (41 confirmed, 1 expired)`."""
        head = "verified" if self.complete else f"waiting for {len(self.missing)}"
        parts = [f"{self.confirmed} confirmed"]
        parts += [f"{self.expired} expired"] if self.expired else []
        parts += [f"{self.unverifiable} unverifiable"] if self.unverifiable else []
        return f"{head} ({', '.join(parts)})"


def verify(
    revision: int, instances: Iterable[Instance], arms: Iterable[InstanceArm], now_ms: int, lease_ms: int
) -> Verification:
    """Whether a rollback published as `revision` has reached everybody.

    An instance confirms with a report made at that revision or later that has no canary exposure since it was applied
    and no open canary run. `arms` are the canary's rows alone.
    """
    by_instance = {arm.instance: arm for arm in arms}
    states = [(i, i.state(now_ms, lease_ms)) for i in instances]
    live = [i for i, state in states if state is InstanceState.LIVE]
    reporting = [i for i in live if i.reports]
    missing = [(i, why) for i in reporting if (why := _why_missing(i, by_instance.get(i.id), revision))]
    confirmed = [i for i in reporting if i.id not in {m.id for m, _ in missing}]
    applied = [i.applied_ms for i in confirmed if i.applied_ms is not None]
    exposed = [a.last_exposure_ms for a in by_instance.values() if a.last_exposure_ms is not None]
    return Verification(
        confirmed=len(confirmed),
        expired=sum(state is InstanceState.EXPIRED for _, state in states),
        unverifiable=len(live) - len(reporting),
        missing=tuple(Missing(i.id, why) for i, why in missing),
        open_runs=sum(by_instance[i.id].open_runs for i in reporting if i.id in by_instance),
        first_applied_ms=min(applied, default=None),
        last_applied_ms=max(applied, default=None),
        last_exposure_ms=max(exposed, default=None),
    )


def _why_missing(instance: Instance, arm: InstanceArm | None, revision: int) -> str:
    if instance.revision < revision:
        return f"still on revision {instance.revision}"
    if arm is not None and arm.open_runs:
        return f"{arm.open_runs} canary run(s) open"
    if arm is not None and arm.since_applied:
        return f"{arm.since_applied} canary exposure(s) after the rollback"
    return ""


def behind(instances: Iterable[Instance], revision: int, now_ms: int, lease_ms: int) -> int:
    """How many live, reporting instances have not applied this revision yet."""
    return sum(
        i.reports and i.revision < revision and i.state(now_ms, lease_ms) is InstanceState.LIVE for i in instances
    )


#: A lost instance is remarked upon for this long.
_LOST_MS = 3_600_000
_MOST_NAMED = 5


def lost(instances: Iterable[Instance], now_ms: int, lease_ms: int) -> str:
    """Instances that fell silent in the last hour with attempts open, in words; empty where there are none.

    Nobody will know what became of those attempts: they count for neither arm.
    """
    found = [
        f"{one.id} ({one.unsettled} unknown)"
        for one in instances
        if one.unknown(now_ms, lease_ms) > 0 and now_ms - one.last_contact_ms < _LOST_MS
    ]
    return f"{len(found)} instance(s) lost with attempts open: {_named(found)}" if found else ""


def contradicting(instances: Iterable[Instance], now_ms: int, lease_ms: int) -> str:
    """Live instances whose figures do not add up, in words; empty where all do."""
    found = [
        f"{one.id} (by {one.unreconciled})"
        for one in instances
        if one.unreconciled and one.state(now_ms, lease_ms) is InstanceState.LIVE
    ]
    return f"attempts and outcomes of {len(found)} instance(s) do not add up: {_named(found)}" if found else ""


def versions_of(instances: Iterable[Instance], now_ms: int, lease_ms: int) -> set[str]:
    """The application versions that live instances report."""
    live = (one for one in instances if one.state(now_ms, lease_ms) is InstanceState.LIVE)
    return {one.app_version for one in live if one.app_version}


def _named(found: list[str]) -> str:
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return ", ".join(found[:_MOST_NAMED]) + more
