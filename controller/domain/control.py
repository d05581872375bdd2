"""What is known of the control before a rollout begins, and the refusal to begin with one that is broken itself."""

from __future__ import annotations

from collections.abc import Mapping

from controller.domain.durations import duration_text, percent_text
from controller.domain.errors import ControlBelowFloor
from controller.domain.guards import PPM
from controller.domain.judge.constants import Constants
from controller.domain.metrics import DELIVERY, Family, Metric
from controller.domain.plans import Plan
from controller.domain.tallies import UNIT, Counts, Tally

#: With fewer control outcomes than this its rate says nothing, so nothing is refused on it.
_LEAST_CONTROL = 100


def control_rates(plan: Plan, counts: Counts, measured: Mapping[str, Tally]) -> dict[Family, Tally]:
    """Failed and all of the control by family: delivery by outcomes of its last day, the others by measured units."""
    found = {DELIVERY: Tally(counts.failed, counts.failed + counts.delivered)}
    for family in plan.families:
        if family.metric.timed:
            tallies = [measured.get(stream, Tally()) for stream in family.firsts(plan.events)]
            found[family] = Tally(sum(t.failed for t in tallies) // UNIT, sum(t.total for t in tallies) // UNIT)
    return found


def check_control(plan: Plan, rates: Mapping[Family, Tally], frozen: Constants) -> None:
    """Make sure that the control itself is above the floor of every guard that may move the rollout.

    `rates` are those of `control_rates`; what is not known of the control (a deadline that nobody has measured yet)
    cannot be checked.

    Raises:
        ControlBelowFloor: it is not; the message says by how much.
    """
    tests = {test.guard: test for test in frozen.tests}
    for at, guard in enumerate(plan.guards):
        test, family = tests.get(guard.name), guard.family(plan.events)
        failed, total = rates.get(family, Tally())
        if test is None or test.action == "alert" or total < _LEAST_CONTROL:
            continue
        if PPM * (total - failed) < test.floor_ppm * total:
            rate, floor = 100 * (total - failed) / total, test.floor_ppm / 10_000
            raise ControlBelowFloor(
                f"the control {_did(family, rate, total)}, {floor - rate:.2f} points below the floor of "
                f"{percent_text(test.floor_ppm, PPM)}; mend the control first, or set a lower floor",
                field=f"guards[{at}].floor",
            )


def _did(family: Family, rate: float, total: int) -> str:
    if family.metric is Metric.DELIVERY:
        return f"delivered {rate:.2f} % of {total:,} events over 24 h"
    what = "ended its runs" if family.metric is Metric.COMPLETENESS else "delivered"
    return f"{what} within {duration_text(family.deadline_ms)} for {rate:.2f} % of {total:,} measured units"
