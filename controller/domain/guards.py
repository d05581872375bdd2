"""Guards: what a rollout promises about a metric, and what happens when the promise is broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from controller.domain.durations import percent_text
from controller.domain.errors import Invalid
from controller.domain.metrics import Family, Metric

#: Rates are kept in parts of a million, so that 99.95 % is exact.
PPM = 1_000_000

_LEAST_AT_LEAST, _MOST_AT_LEAST = 500_000, 999_000
_LEAST_MARGIN, _MOST_MARGIN = 1_000, 500_000
_MOST_GUARDS = 10
#: A floor leaves the healthy canary room: a failure rate between a fifth and nine tenths of what is allowed.
_LEAST_ROOM, _MOST_ROOM = Fraction(9, 10), Fraction(1, 5)
_DEADLINES_MS = {Metric.WITHIN: (1, 3_600_000), Metric.COMPLETENESS: (1_000, 86_400_000)}


class GuardAction(StrEnum):
    """What a broken guard does: take the canary away, hold the share for a person, or only say so."""

    ROLLBACK = "rollback"
    PAUSE = "pause"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition on a metric: `at_least` a rate, or not worse than the control by more than a margin.

    Attributes:
        at_least_ppm: the least good rate in parts of a million; None where `margin_ppm` compares with the control.
        floor_ppm: the rate above which the canary is never convicted; None is `auto`, taken from the control at start.
        deadline_ms: of `delivered_within` and `run_completeness`.
        opens, closes: of `run_completeness`: the events that begin and end a run; empty stands for the first and the
            last event of the plan.
    """

    name: str
    metric: Metric = Metric.DELIVERY
    at_least_ppm: int | None = 950_000
    floor_ppm: int | None = None
    margin_ppm: int | None = None
    deadline_ms: int = 0
    opens: str = ""
    closes: str = ""
    action: GuardAction = GuardAction.ROLLBACK

    def family(self, events: Sequence[str]) -> Family:
        """The streams it judges."""
        if self.metric is Metric.COMPLETENESS:
            return Family(self.metric, self.deadline_ms, self.opens or events[0], self.closes or events[-1])
        return Family(self.metric, self.deadline_ms)


def check_guards(guards: Sequence[Guard], events: Sequence[str]) -> None:
    """Refuse guards that cannot be judged, naming the field.

    Raises:
        Invalid: see the messages.
    """
    if not 1 <= len(guards) <= _MOST_GUARDS:
        raise Invalid(f"give 1 to {_MOST_GUARDS} guards", field="guards")
    names = [guard.name for guard in guards]
    for at, guard in enumerate(guards):
        field = f"guards[{at}]"
        if guard.name in names[:at]:
            raise Invalid(f"two guards are called {guard.name!r}", field=f"{field}.name")
        _check_metric(guard, events, field)
        if guard.margin_ppm is None:
            _check_threshold(guard, field)
        else:
            _check_margin(guard, field)
    _check_same_runs(guards, events)
    if all(guard.at_least_ppm is None for guard in guards):
        raise Invalid("give at least one guard with at_least: a stage must prove something to pass", field="guards")


def _check_metric(guard: Guard, events: Sequence[str], field: str) -> None:
    if guard.metric in (Metric.ABANDONED, Metric.INTERRUPTED):
        raise Invalid(f"{guard.metric.value} is watched in every rollout and takes no guard", field=f"{field}.metric")
    if not guard.metric.timed:
        if guard.deadline_ms:
            raise Invalid(f"{guard.metric.value} has no deadline; the client's own applies", field=f"{field}.deadline")
    else:
        least, most = _DEADLINES_MS[guard.metric]
        if not least <= guard.deadline_ms <= most:
            raise Invalid(
                f"{guard.metric.value} needs a deadline of {least} ms to {most // 3_600_000}h, such as "
                f"{'5m' if guard.metric is Metric.COMPLETENESS else '100ms'}",
                field=f"{field}.deadline",
            )
    if guard.metric is Metric.COMPLETENESS:
        _check_run(guard, events, field)
    elif guard.opens or guard.closes:
        raise Invalid("only run_completeness has events that open and close", field=f"{field}.opens")


def _check_run(guard: Guard, events: Sequence[str], field: str) -> None:
    family = guard.family(events)
    for name, event in (("opens", family.opens), ("closes", family.closes)):
        if event not in events:
            raise Invalid(f"{event!r} is none of the events {', '.join(events)}", field=f"{field}.{name}")
    if family.opens == family.closes:
        raise Invalid("a run opens with one event and closes with another", field=f"{field}.closes")


def _check_same_runs(guards: Sequence[Guard], events: Sequence[str]) -> None:
    """Clients follow runs of one kind: those of a second guard would never be counted."""
    runs = [(at, guard.family(events)) for at, guard in enumerate(guards) if guard.metric is Metric.COMPLETENESS]
    for at, family in runs[1:]:
        for name in ("deadline_ms", "opens", "closes"):
            if getattr(family, name) != getattr(runs[0][1], name):
                raise Invalid(
                    f"run_completeness is judged on one kind of run; write the same as in {guards[runs[0][0]].name!r}",
                    field=f"guards[{at}].{name.removesuffix('_ms')}",
                )


def _check_threshold(guard: Guard, field: str) -> None:
    threshold, floor = guard.at_least_ppm, guard.floor_ppm
    if threshold is None:
        raise Invalid("give at_least, such as 95%, or margin_to_control, such as 1%", field=f"{field}.at_least")
    if not _LEAST_AT_LEAST <= threshold <= _MOST_AT_LEAST:
        raise Invalid(
            f"{percent_text(threshold, PPM)} cannot be judged; a threshold is 50% to 99.9%: at 100% a single failure "
            "would convict, below 50% hardly any would",
            field=f"{field}.at_least",
        )
    if floor is None:
        return
    least, most = floor_range(threshold)
    if not least <= floor <= most:
        raise Invalid(
            f"{percent_text(floor, PPM)} is no floor for {percent_text(threshold, PPM)}; write auto or "
            f"{percent_text(least, PPM)} to {percent_text(most, PPM)}: above the threshold, so that a healthy canary "
            "has room",
            field=f"{field}.floor",
        )


def floor_range(threshold_ppm: int) -> tuple[int, int]:
    """The least and the largest floor of a threshold, in parts of a million; for 95 %: 95.5 % to 99 %."""
    allowed = PPM - threshold_ppm
    return PPM - int(_LEAST_ROOM * allowed), PPM - int(_MOST_ROOM * allowed)


def _check_margin(guard: Guard, field: str) -> None:
    if guard.at_least_ppm is not None:
        raise Invalid("give at_least or margin_to_control, not both; two guards do both", field=f"{field}.at_least")
    if guard.floor_ppm is not None:
        raise Invalid("a comparison with the control has no floor", field=f"{field}.floor")
    if guard.margin_ppm is None or not _LEAST_MARGIN <= guard.margin_ppm <= _MOST_MARGIN:
        raise Invalid("a margin is 0.1% to 50%", field=f"{field}.margin_to_control")
