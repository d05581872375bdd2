"""The promises in numbers: how often a healthy canary is rolled back, and how fast a broken one is.

All seeds are fixed, so the results are; the bounds are what chance allows at any other seed. Times are simulated.
"""

from collections.abc import Sequence
from random import Random

import pytest

from controller.domain.judge import at_least
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Verdict
from controller.domain.judge.reading import read
from controller.domain.judge.state import fresh_state
from controller.domain.ledger import LedgerRow, ledger_rows
from controller.domain.metrics import DELIVERY, POOLED, UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS, OutcomeClass
from controller.domain.tallies import UNIT
from controller.domain.unit_book import UnitBook
from controller.domain.units import UnitRules
from tests.domain.builders import NOW, STARTED, Judged, constants, slot

#: alpha is 1 % per 24 hours, for all streams of a rollout together: P(more than 8 of 200 | 1 % each) = 0.0002.
DAYS, MOST = 200, 8


def binomial_weights(n: int, q: float) -> list[float]:
    """The chances of 0 to n failures."""
    weights = [(1 - q) ** n]
    for k in range(n):
        weights.append(weights[-1] * (n - k) / (k + 1) * q / (1 - q))
    return weights


def convicts(frozen: Constants, day: Sequence[int], units: int) -> bool:
    """Whether a fresh pooled stream convicts within a day of slots of so many units; every slot may restart it."""
    state = fresh_state(frozen)
    for seq, failed in enumerate(day, start=1):
        rows = LedgerRow(1, "canary", POOLED, UNIT * failed, UNIT * units)
        if at_least.take(frozen, state, read(slot(seq, rows), 0, fresh=True)):
            return True
    return False


@pytest.mark.parametrize(
    ("floor", "units", "slots", "days", "most"),
    [(960, 1, 864, DAYS, MOST), (975, 1, 864, DAYS, MOST), (960, 10, 8_640, 20, 3)],
)
def test_a_canary_exactly_at_its_floor_is_rolled_back_in_no_more_days_than_alpha_allows(
    floor: int, units: int, slots: int, days: int, most: int
):
    """200 whole days at one event in 100 seconds, 20 at one in a second (P(more than 3 of 20) = 0.00004).

    Slots without events are left out: they change nothing. The pooled stream alone has half of alpha.
    """
    chance = Random(20 + floor)
    weights = binomial_weights(units, 1 - floor / 1_000)
    frozen = constants(floor, UnitKind.EVENT)
    found = sum(convicts(frozen, chance.choices(range(units + 1), weights, k=slots), units) for _ in range(days))
    assert found <= most


class Simulated:
    """A whole rollout judged by event: `p` is the chance of delivery, for all types or for some of them."""

    def __init__(self, p: float, seed: int, *, floor: int = 960, only: str | None = None) -> None:
        self.judged = Judged(constants(floor, UnitKind.EVENT))
        self.chance = Random(seed)
        self.p = {name: p if only in (None, name) else 0.995 for name in CRITICAL_EVENTS}
        self.failed = 0

    def slot(self, units: int) -> Verdict:
        """One slot of so many events of each type."""
        rows = []
        for name in CRITICAL_EVENTS:
            failed = sum(self.chance.random() >= self.p[name] for _ in range(units))
            rows.append(LedgerRow(1, "canary", name, UNIT * failed, UNIT * units))
        pooled = sum(row.failed for row in rows)
        self.failed += pooled // UNIT
        return self.judged.after(*rows, LedgerRow(1, "canary", POOLED, pooled, 5 * UNIT * units)).verdict

    def slots_until_rollback(self, units: int, most: int) -> int | None:
        return next((at for at in range(1, most + 1) if self.slot(units) is Verdict.FAIL), None)


def test_the_whole_judge_keeps_alpha_over_all_its_streams_at_low_traffic():
    """200 days with 150 events of each type, an evaluation after every five: six streams, one alpha."""
    days = [Simulated(0.96, seed).slots_until_rollback(5, 30) for seed in range(DAYS)]
    assert sum(day is not None for day in days) <= MOST


#: (delivery, floor, slots of ten seconds at the median and at the 95th percentile, failed events at the median).
#: One event a second. The limits are those of the specification's reference plus what chance does to 100 rollouts.
DETECTION = [
    (0.90, 960, 27, 60, 30),
    (0.90, 975, 14, 34, 16),
    (0.80, 960, 7, 15, 14),
    (0.80, 975, 5, 10, 11),
    (0.50, 960, 2, 3, 10),
    (0.00, 960, 1, 1, 10),
]


@pytest.mark.parametrize(("p", "floor", "median", "late", "failed"), DETECTION)
def test_a_broken_canary_is_always_rolled_back_and_soon(p: float, floor: int, median: int, late: int, failed: int):
    rollouts = [Simulated(p, seed, floor=floor) for seed in range(100)]
    slots = sorted(each.slots_until_rollback(2, 400) or 10**6 for each in rollouts)
    assert slots[-1] < 10**6
    assert slots[49] <= median
    assert slots[94] <= late
    assert sorted(each.failed for each in rollouts)[49] <= failed


@pytest.mark.parametrize(("p", "late"), [(0.8, 12), (0.5, 5), (0.0, 2)])
def test_one_broken_event_type_among_five_is_enough(p: float, late: int):
    """At 25 events a second, within so many slots of ten seconds in 95 of 100 rollouts, and sooner or later in all."""
    slots = sorted(
        Simulated(p, seed, only="tool_executing").slots_until_rollback(50, 200) or 10**6 for seed in range(100)
    )
    assert slots[94] <= late
    assert slots[-1] <= 200


def runs_judged(kind: UnitKind, seed: int, *, broken: float, runs: int = 400, events: int = 20) -> Judged:
    """Runs whose events all fail or all arrive, through the client's own book; a slot after every second run."""
    judged, book, chance = Judged(constants(960, kind)), UnitBook(), Random(seed)
    rules = UnitRules("r", kind, frozenset(CRITICAL_EVENTS))
    for run in range(runs):
        now, outcome = NOW + 5_000 * run, OutcomeClass.FAILED if chance.random() < broken else OutcomeClass.DELIVERED
        for at in range(events):
            event = CRITICAL_EVENTS[at % len(CRITICAL_EVENTS)]
            who = {"user": f"{run:08x}", "run": f"{run:08x}"}
            ticket = book.attempt(rules, arm="canary", epoch=1, event_type=event, now_ms=now, **who)
            book.settle(ticket, outcome)
        book.end_run("r", "canary", f"{run:08x}")
        if run % 2:
            drained = {(key.epoch, key.arm, key.stream): proof.tally for key, proof in book.drain().items()}
            judged.last = judged.after(*ledger_rows(drained, kind, (DELIVERY,), CRITICAL_EVENTS))
            if judged.last.verdict is Verdict.FAIL:
                break
    return judged


def test_failures_that_come_by_whole_runs_convict_a_healthy_canary_only_if_each_event_counts():
    """4 % of the runs fail as a whole, with all their events: exactly at the floor. P(2 of 10 | 1 %) = 0.004."""
    by_run = [runs_judged(UnitKind.RUN, seed, broken=0.04).last.verdict for seed in range(10)]
    by_event = [runs_judged(UnitKind.EVENT, seed, broken=0.04).last.verdict for seed in range(10)]
    assert by_run.count(Verdict.FAIL) <= 1
    assert by_event.count(Verdict.FAIL) >= 9


def test_a_fifth_of_the_runs_failing_as_a_whole_is_found_within_two_hundred_runs():
    judged = [runs_judged(UnitKind.RUN, seed, broken=0.2, runs=200) for seed in range(30)]
    assert all(each.last.verdict is Verdict.FAIL for each in judged)
    assert all(each.last.findings[0].guard == "delivery" for each in judged)


def test_a_total_failure_takes_three_runs():
    judged = Judged(constants(960, UnitKind.RUN))
    verdicts = [judged.after(LedgerRow(1, "canary", STARTED, UNIT, UNIT)).verdict for _ in range(3)]
    assert verdicts == [Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE, Verdict.FAIL]
