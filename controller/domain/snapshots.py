"""What clients evaluate: every flag of the environment at one revision, and how an answer is reached from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from controller.domain.bucketing import WHOLE, sees_canary
from controller.domain.flags import Value
from controller.domain.metrics import Family, Metric, UnitKind
from controller.domain.outcomes import Arm
from controller.domain.units import UnitRules


class Reason(StrEnum):
    """Why a variant was served: OpenFeature's reasons."""

    STATIC = "STATIC"
    SPLIT = "SPLIT"
    DISABLED = "DISABLED"
    STALE = "STALE"


@dataclass(frozen=True, slots=True)
class PublishedRollout:
    """A live rollout as clients see it.

    Attributes:
        weight: the canary's share, in parts of 10,000.
        salt: goes into the bucket; the same for all stages, so that a user who has seen the canary keeps seeing it.
        epoch: the evidence epoch that outcomes assigned now belong to.
        lease_ms: how long a client may serve a canary share without hearing from the controller.
        metrics: what is counted besides delivery: latency deadlines and complete runs.
        quarantined: application versions that failed; their processes serve the control.
    """

    key: str
    control: str
    canary: str
    weight: int
    salt: str
    epoch: int
    unit: UnitKind
    events: tuple[str, ...]
    lease_ms: int
    metrics: tuple[Family, ...] = ()
    quarantined: tuple[str, ...] = ()

    def rules(self) -> UnitRules:
        """How clients are to count for this rollout."""
        within = tuple(family for family in self.metrics if family.metric is Metric.WITHIN)
        runs = next((family for family in self.metrics if family.metric is Metric.COMPLETENESS), None)
        return UnitRules(self.key, self.unit, frozenset(self.events), within, runs)

    def arm_of(self, variant: str) -> Arm | None:
        """The side that a variant stands for; None for a variant that is not compared."""
        return {self.canary: Arm.CANARY, self.control: Arm.CONTROL}.get(variant)


@dataclass(frozen=True, slots=True)
class PublishedFlag:
    """A flag as clients see it."""

    key: str
    variants: Mapping[str, Value]
    control: str
    served: str
    enabled: bool
    version: int
    rollout: PublishedRollout | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All flags at one revision; a client never goes back to an older one."""

    environment: str
    revision: int
    flags: Mapping[str, PublishedFlag]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One answer: the variant, its value and the reason."""

    variant: str
    value: Value
    reason: Reason


def evaluate(flag: PublishedFlag, targeting_key: str | None, *, lapsed: bool = False) -> Evaluation:
    """The variant this targeting key gets.

    A killed flag serves its control. While a rollout is live, a client whose contact lease has lapsed serves the
    control too; so does a split asked without a targeting key, since nobody can be held to a bucket then.
    """
    rollout = flag.rollout
    if not flag.enabled:
        return _answer(flag, flag.control, Reason.DISABLED)
    if rollout is None:
        return _answer(flag, flag.served, Reason.STATIC)
    if lapsed:
        return _answer(flag, rollout.control, Reason.STALE)
    if rollout.weight in (0, WHOLE):
        return _answer(flag, rollout.canary if rollout.weight else rollout.control, Reason.STATIC)
    chosen = targeting_key is not None and sees_canary(rollout.salt, targeting_key, rollout.weight)
    return _answer(flag, rollout.canary if chosen else rollout.control, Reason.SPLIT)


def _answer(flag: PublishedFlag, variant: str, reason: Reason) -> Evaluation:
    return Evaluation(variant, flag.variants[variant], reason)
