"""What a rollout is to do: its stages and guards, checked as a whole. The manifest is its written form."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.domain.bucketing import WHOLE
from controller.domain.durations import duration_text, percent_text
from controller.domain.errors import Invalid
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.units import LATER, POOLED, UnitKind

#: A client may serve a canary share this long without hearing from the controller.
DEFAULT_LEASE_MS = 120_000

_LEAST_LEASE_MS = 30_000
_MOST_LEASE_MS = 3_600_000
_MOST_BAKE_MS = 30 * 86_400_000


class GuardAction(StrEnum):
    """What a failing guard does."""

    ROLLBACK = "rollback"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Stage:
    """A share of the users and the time it must hold before the next one.

    Attributes:
        weight: the canary's share in parts of 10,000.
        bake_ms: the least time spent in the stage.
    """

    weight: int
    bake_ms: int

    def __str__(self) -> str:
        return f"{percent_text(self.weight)} for {duration_text(self.bake_ms)}"


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition on a metric; `floor_permille` None means `auto`: taken from the control's own rate at start."""

    name: str
    metric: str = "delivery_success"
    at_least_permille: int = 950
    floor_permille: int | None = None
    action: GuardAction = GuardAction.ROLLBACK


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages, guards and the way of counting; raises Invalid naming the field where they do not fit together."""

    stages: tuple[Stage, ...]
    guards: tuple[Guard, ...] = (Guard("delivery"),)
    unit: UnitKind = UnitKind.USER_10M
    events: tuple[str, ...] = CRITICAL_EVENTS
    lease_ms: int = DEFAULT_LEASE_MS
    promotion_margin_permille: int = 10
    allow_overlap: bool = False
    owner: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        _check_stages(self.stages)
        _check_guards(self.guards)
        _check_events(self.events)
        if not _LEAST_LEASE_MS <= self.lease_ms <= _MOST_LEASE_MS:
            raise Invalid("a contact lease is 30s to 1h: shorter than three restarts it would flap", field="lease")
        if not 1 <= self.promotion_margin_permille <= 50:
            raise Invalid("the promotion margin is 0.1% to 5%", field="promotion_margin")

    @property
    def guard(self) -> Guard:
        """The delivery guard."""
        return self.guards[0]


def _check_stages(stages: tuple[Stage, ...]) -> None:
    if not 1 <= len(stages) <= 50:
        raise Invalid("give 1 to 50 stages", field="stages")
    previous = 0
    for at, stage in enumerate(stages):
        if stage.weight <= previous:
            raise Invalid(
                f"shares must grow: {percent_text(stage.weight)} does not exceed {percent_text(previous)}",
                field=f"stages[{at}].share",
            )
        if not 0 < stage.bake_ms <= _MOST_BAKE_MS:
            raise Invalid("a bake time is longer than 0 and at most 30d, such as 10m", field=f"stages[{at}].bake")
        previous = stage.weight
    if previous != WHOLE:
        raise Invalid(
            "the last stage is 100%, since promotion moves everybody and nothing is promoted unjudged",
            field=f"stages[{len(stages) - 1}].share",
        )


def _check_guards(guards: tuple[Guard, ...]) -> None:
    if len(guards) != 1:
        raise Invalid("give exactly one guard, on delivery_success", field="guards")
    guard = guards[0]
    if guard.metric != "delivery_success":
        raise Invalid(f"{guard.metric!r} is not known here; the metric is delivery_success", field="guards[0].metric")
    if guard.at_least_permille != 950:
        raise Invalid("the judge's constants are for 95%; write at_least: 95%", field="guards[0].at_least")
    if guard.floor_permille is not None and not 955 <= guard.floor_permille <= 990:
        raise Invalid(
            "a floor is auto or 95.5% to 99%: above the 95% rule, so that a healthy canary has room",
            field="guards[0].floor",
        )


def _check_events(events: tuple[str, ...]) -> None:
    if not 1 <= len(events) <= 20:
        raise Invalid("give 1 to 20 event types", field="events")
    for at, name in enumerate(events):
        if not name or len(name) > 100 or name in (LATER, POOLED):
            raise Invalid(f"{name!r} is no event type: 1 to 100 characters, not later or pooled", field=f"events[{at}]")
        if name in events[:at]:
            raise Invalid(f"{name!r} is listed twice", field=f"events[{at}]")
