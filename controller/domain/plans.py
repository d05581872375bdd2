"""What a rollout is to do: its stages and guards, checked as a whole. The manifest is its written form."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.domain.bucketing import WHOLE
from controller.domain.durations import duration_text, percent_text
from controller.domain.errors import Invalid
from controller.domain.guards import PPM, Guard, check_guards
from controller.domain.metrics import RESERVED, WATCHED, Family, UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS

#: A client may serve a canary share this long without hearing from the controller.
DEFAULT_LEASE_MS = 120_000
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS

_LEAST_LEASE_MS = 30_000
_MOST_LEASE_MS = _HOUR_MS
_MOST_MS = 30 * _DAY_MS
_MOST_EVENTS = 100


class Mode(StrEnum):
    """enforce: the judge moves the rollout; observe: it records what it would have done and moves nothing."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


class Breaker(StrEnum):
    """What a client does when its own outcomes convict the canary.

    report: it says so. when_blind: while it cannot reach the controller it goes back to the control by itself.
    trip: it goes back whether the controller can be reached or not.
    """

    REPORT = "report"
    WHEN_BLIND = "when_blind"
    TRIP = "trip"


class Otherwise(StrEnum):
    """What happens when an approval does not come in time."""

    PAUSE = "pause"
    ROLLBACK = "rollback"
    ADVANCE = "advance"


@dataclass(frozen=True, slots=True)
class Approval:
    """A person must agree before a stage begins; within a time, after which the default applies."""

    within_ms: int = _DAY_MS
    otherwise: Otherwise = Otherwise.PAUSE


@dataclass(frozen=True, slots=True)
class Stage:
    """A share of the users and the time it must hold before the next one.

    Attributes:
        weight: the canary's share in parts of 10,000.
        bake_ms: the least time spent in the stage.
        approval: what entering it asks for; None asks for nothing.
    """

    weight: int
    bake_ms: int
    approval: Approval | None = None

    def __str__(self) -> str:
        asked = ", approval required" if self.approval else ""
        return f"{percent_text(self.weight)} for {duration_text(self.bake_ms)}{asked}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages, guards and the way of counting; raises Invalid naming the field where they do not fit together.

    Attributes:
        alpha_ppm: the chance per 24 hours of rolling back a healthy canary, shared by all guards.
        min_users: distinct canary users that a stage needs before it passes, whatever the evidence says.
        min_samples: 0, or the number of units of a literal "the last N are below the threshold" rule.
        patience_ms: how long after its bake time a stage may stay inconclusive before it pauses.
        holdback: the control's share (of 10,000) that no stage takes away; the last stage is then that much short of
            everybody until the promotion.
        measure_ms: how long the control alone is measured before anybody sees the canary.
        cool_down_ms: how long after a rollback nothing may be started again.
    """

    stages: tuple[Stage, ...]
    guards: tuple[Guard, ...] = (Guard("delivery"),)
    unit: UnitKind = UnitKind.USER_10M
    events: tuple[str, ...] = CRITICAL_EVENTS
    mode: Mode = Mode.ENFORCE
    breaker: Breaker = Breaker.WHEN_BLIND
    alpha_ppm: int = 10_000
    lease_ms: int = DEFAULT_LEASE_MS
    promotion_margin_ppm: int = 10_000
    min_users: int = 0
    min_samples: int = 0
    patience_ms: int = 3 * _DAY_MS
    holdback: int = 0
    measure_ms: int = 0
    cool_down_ms: int = 600_000
    allow_overlap: bool = False
    owner: str = ""
    channel: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        _check_stages(self.stages)
        _check_events(self.events)
        check_guards(self.guards, self.events)
        _check_streams(self.families, self.events)
        _check_limits(self)

    @property
    def families(self) -> tuple[Family, ...]:
        """What clients count for it: each metric of its guards once, delivery first, then what is always watched."""
        found = [guard.family(self.events) for guard in self.guards]
        return tuple(dict.fromkeys((*sorted(found, key=lambda family: bool(family.prefix)), *WATCHED)))

    def weight_of(self, stage: int) -> int:
        """The canary's weight in a stage, which leaves the control its holdback."""
        return min(self.stages[stage].weight, WHOLE - self.holdback)


def _check_stages(stages: tuple[Stage, ...]) -> None:
    if not 1 <= len(stages) <= 50:
        raise Invalid("give 1 to 50 stages", field="stages")
    if stages[0].approval is not None:
        raise Invalid("starting it is the first stage's approval; ask for one later", field="stages[0].approval")
    previous = 0
    for at, stage in enumerate(stages):
        if stage.weight <= previous:
            raise Invalid(
                f"shares must grow: {percent_text(stage.weight)} does not exceed {percent_text(previous)}",
                field=f"stages[{at}].share",
            )
        if not 0 < stage.bake_ms <= _MOST_MS:
            raise Invalid("a bake time is longer than 0 and at most 30d, such as 10m", field=f"stages[{at}].bake")
        if stage.approval is not None and not 60_000 <= stage.approval.within_ms <= _MOST_MS:
            raise Invalid("an approval is given 1m to 30d", field=f"stages[{at}].approval.within")
        previous = stage.weight
    if previous != WHOLE:
        raise Invalid(
            "the last stage is 100%, since promotion moves everybody and nothing is promoted unjudged",
            field=f"stages[{len(stages) - 1}].share",
        )


def _check_events(events: tuple[str, ...]) -> None:
    if not 1 <= len(events) <= _MOST_EVENTS:
        raise Invalid(f"give 1 to {_MOST_EVENTS} event types; without any nothing can be judged", field="events")
    for at, name in enumerate(events):
        if not name or len(name) > 100 or name in RESERVED:
            taken = ", ".join(sorted(RESERVED))
            words = f"{name[:120]!r} is no event type: 1 to 100 characters, none of {taken}"
            raise Invalid(words, field=f"events[{at}]")
        if name in events[:at]:
            raise Invalid(f"{name!r} is listed twice", field=f"events[{at}]")


def _check_streams(families: tuple[Family, ...], events: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for family in families:
        for stream in family.firsts(events):
            if stream in seen:
                raise Invalid(f"an event is called like the stream {stream!r}; rename it", field="events")
            seen.add(stream)


def _check_limits(plan: Plan) -> None:
    lease_words = "30s to 1h: shorter than three restarts it would flap"
    ranges = (
        ("lease", plan.lease_ms, _LEAST_LEASE_MS, _MOST_LEASE_MS, lease_words),
        ("alpha", plan.alpha_ppm, 100, 50_000, "0.01% to 5% per 24 h: with less nothing could ever be convicted"),
        ("promotion_margin", plan.promotion_margin_ppm, 1_000, 50_000, "0.1% to 5%"),
        ("min_users", plan.min_users, 0, 1_000_000, "0 to 1,000,000"),
        ("patience", plan.patience_ms, 60_000, _MOST_MS, "1m to 30d"),
        ("holdback", plan.holdback, 0, WHOLE // 2, "0% to 50%"),
        ("measure", plan.measure_ms, 0, 7 * _DAY_MS, "up to 7d"),
        ("cool_down", plan.cool_down_ms, 0, 7 * _DAY_MS, "up to 7d"),
    )
    for field, value, least, most, words in ranges:
        if not least <= value <= most:
            raise Invalid(f"use {words}", field=field)
    if plan.min_samples and not 20 <= plan.min_samples <= PPM:
        raise Invalid("use 0 (off) or 20 to 1,000,000 units", field="min_samples")
