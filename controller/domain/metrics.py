"""What a guard measures: one yes-or-no outcome per unit, in streams that carry the metric's name.

Delivery, delivery in time and complete runs are the same mechanism on three outcomes; so are the shares of outcomes
that users abandoned or that our own process interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from controller.domain.durations import duration_text

#: The stream of all outcomes of a unit but the first of each kind.
LATER = "later"
#: The stream that adds up all kinds; it judges with `unit: event` alone.
POOLED = "pooled"
#: Units that were due to have spoken; those that have not are its failures. Judged on the canary alone.
REPORTING = "reporting"
#: The one kind of outcome that runs have.
RUN = "run"


class UnitKind(StrEnum):
    """What counts once: a user within ten minutes (default), an agent run, or each event."""

    USER_10M = "user/10m"
    RUN = "run"
    EVENT = "event"


class Metric(StrEnum):
    """What is asked of each unit; `abandoned` and `interrupted` are watched without being asked for."""

    DELIVERY = "delivery_success"
    WITHIN = "delivered_within"
    COMPLETENESS = "run_completeness"
    ABANDONED = "abandoned"
    INTERRUPTED = "interrupted"

    @property
    def timed(self) -> bool:
        """Whether it needs a deadline."""
        return self in (Metric.WITHIN, Metric.COMPLETENESS)


_PREFIX = {Metric.WITHIN: "within_", Metric.COMPLETENESS: "completed_"}


@dataclass(frozen=True, slots=True)
class Family:
    """The streams of one metric (with one deadline): what clients count and guards judge.

    Attributes:
        deadline_ms: of `delivered_within` and `run_completeness`; 0 for the others.
        opens, closes: of `run_completeness`, the events that begin and end a run.
    """

    metric: Metric
    deadline_ms: int = 0
    opens: str = ""
    closes: str = ""

    @property
    def prefix(self) -> str:
        """What its streams' names begin with: nothing, `within_100ms/` or `completed_5m/`."""
        return f"{_PREFIX[self.metric]}{duration_text(self.deadline_ms)}/" if self.metric in _PREFIX else ""

    def stream(self, name: str) -> str:
        """The stream of an event type, of `run`, `later` or `pooled`."""
        return self.prefix + name

    def kinds(self, events: Iterable[str]) -> tuple[str, ...]:
        """What has a stream of first outcomes: each event type, or runs."""
        return (RUN,) if self.metric is Metric.COMPLETENESS else tuple(events)

    def firsts(self, events: Iterable[str]) -> tuple[str, ...]:
        """The streams of first outcomes."""
        if self.metric in (Metric.ABANDONED, Metric.INTERRUPTED):
            return (self.metric.value,)
        return tuple(self.stream(kind) for kind in self.kinds(events))

    def gauge(self, stream: str) -> str:
        """The gauge of units that are open in a stream: those of the event type, or of the runs themselves."""
        return stream if self.metric is Metric.COMPLETENESS else stream.removeprefix(self.prefix)


DELIVERY = Family(Metric.DELIVERY)
#: What is watched in every rollout beside its guards.
WATCHED = (Family(Metric.ABANDONED), Family(Metric.INTERRUPTED))
#: Names that no event type may have.
RESERVED = frozenset({LATER, POOLED, REPORTING, RUN, *(family.metric.value for family in WATCHED)})
