"""What clients evaluate: every flag of the environment at one revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.domain.conditions import Condition
from controller.domain.flags import Value
from controller.domain.metrics import Family, Metric, UnitKind
from controller.domain.outcomes import Arm
from controller.domain.plans import Breaker
from controller.domain.targeting import NO_TARGETING, Targeting
from controller.domain.units import UnitRules


@dataclass(frozen=True, slots=True)
class PublishedBreaker:
    """How a client judges its own outcomes.

    Attributes:
        mode: what it does when they convict the canary.
        round: of the rollout; a new one begins without the outcomes of the one before.
        constants: of the judge, as clients use them (`judge.local`), in canonical form; equal ones are one object.
    """

    mode: Breaker
    round: int
    constants: str


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
        breaker: None where clients judge nothing.
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
    breaker: PublishedBreaker | None = None

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
    """A flag as clients see it; its targeting serves no variant that a rollback has withdrawn."""

    key: str
    variants: Mapping[str, Value]
    control: str
    served: str
    enabled: bool
    version: int
    rollout: PublishedRollout | None = None
    targeting: Targeting = NO_TARGETING


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All flags at one revision; a client never goes back to an older one."""

    environment: str
    revision: int
    flags: Mapping[str, PublishedFlag]
    segments: Mapping[str, Condition] = field(default_factory=dict)
