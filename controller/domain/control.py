"""What is known of the control before a rollout begins, and the refusal to begin with one that is broken itself."""

from __future__ import annotations

from collections.abc import Mapping

from controller.domain.durations import percent_text
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


def check_control(counts: Counts, frozen: Constants) -> None:
    """Make sure that the control itself is above the floor of every delivery guard that may move the rollout.

    Raises:
        ControlBelowFloor: it is not; the message says by how much.
    """
    total = counts.delivered + counts.failed
    if total < _LEAST_CONTROL:
        return
    for at, test in enumerate(frozen.tests):
        if test.metric != Metric.DELIVERY or test.action == "alert":
            continue
        if PPM * counts.delivered < test.floor_ppm * total:
            rate, floor = 100 * counts.delivered / total, test.floor_ppm / 10_000
            raise ControlBelowFloor(
                f"the control delivered {rate:.2f} % of {total:,} events over 24 h, {floor - rate:.2f} points below "
                f"the floor of {percent_text(test.floor_ppm, PPM)}; mend the control first, or set a lower floor",
                field=f"guards[{at}].floor",
            )
