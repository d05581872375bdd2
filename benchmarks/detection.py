"""How soon the shipped judge finds a broken canary, and how often it errs, event by event (`unit: event`).

    python benchmarks/detection.py trials [--repetitions 400]
    python benchmarks/detection.py time   [--repetitions 400]
    python benchmarks/detection.py false  [--days 300]

trials  one event of each of the five types at a time: trials until the rollback, over Wald's bound log(1/alpha)/KL
        (alpha 1 %, against 95 %), for the floors 96 and 97.5 %. Below 1 is possible: the null is the floor, not 95 %.
time    one canary event a second, in slots of ten seconds: median and 95th percentile until the rollback.
false   days of a canary exactly at its floor that end in a rollback, with 1 and 25 events a second.

Events fail independently; the canary has a tenth of the users beside a control that delivers 99.5 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from math import log
from multiprocessing import Pool
from multiprocessing.pool import Pool as PoolType
from statistics import mean, median, quantiles

import numpy as np

from controller.domain.guards import Guard
from controller.domain.judge.findings import Effect
from controller.domain.judge.freeze import freeze
from controller.domain.judge.judge import judge
from controller.domain.judge.state import fresh_state
from controller.domain.ledger import Gauges, Slot, ledger_rows
from controller.domain.metrics import DELIVERY, UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS, Arm
from controller.domain.plans import Plan, Stage
from controller.domain.tallies import UNIT, Tally
from controller.usecases.what_if.simulation import Effort, Traffic, detection

WEIGHT, SHARE = 1_000, 0.1
FLOORS = (960_000, 975_000)
RATES = (0.94, 0.93, 0.90, 0.80, 0.50, 0.0)
CONTROL = 0.995
THRESHOLD, ALPHA = 0.95, 0.01
_MOST_TRIALS = 20_000


def plan(floor_ppm: int) -> Plan:
    """The delivery guard alone, judged event by event."""
    stages = (Stage(WEIGHT, 1), Stage(10_000, 1))
    return Plan(stages, guards=(Guard("delivery", floor_ppm=floor_ppm),), unit=UnitKind.EVENT)


def wald(success: float) -> float:
    """The least mean number of trials of any rule with this alpha."""
    gain = sum(p * log(p / q) for p, q in ((success, THRESHOLD), (1 - success, 1 - THRESHOLD)) if p > 0)
    return log(1 / ALPHA) / gain


def trials(job: tuple[int, float, int]) -> int:
    """Trials until the rollback, one event of each type at a time."""
    floor_ppm, success, seed = job
    made = plan(floor_ppm)
    frozen, chance = freeze(made, {}), np.random.default_rng([seed, floor_ppm, int(1e4 * success)])
    state = fresh_state(frozen, 1)
    while len(CRITICAL_EVENTS) * state.seq < _MOST_TRIALS:
        tallies = {
            (1, Arm.CANARY.value, kind): Tally(UNIT * int(chance.random() >= success), UNIT) for kind in CRITICAL_EVENTS
        }
        rows = ledger_rows(tallies, UnitKind.EVENT, (DELIVERY,), CRITICAL_EVENTS)
        state, analysis = judge(
            frozen, state, Slot(state.seq + 1, 1_000 * (state.seq + 1), 1, WEIGHT, rows, Gauges(active=8))
        )
        if analysis.effect is Effect.ROLLBACK:
            break
    return len(CRITICAL_EVENTS) * state.seq


def seconds(job: tuple[int, float, float, int]) -> float | None:
    """Seconds until the rollback at so many canary events a second; None if there is none within a day."""
    floor_ppm, success, per_second, seed = job
    traffic = Traffic(60 * per_second / SHARE, 1.0, CONTROL)
    found = detection(plan(floor_ppm), traffic, success, WEIGHT, 1, Effort(1, 1, seed))
    return found.seconds[0] if found.seconds else None


def show_trials(pool: PoolType, repetitions: int) -> None:
    """The first table."""
    print(f"{'floor':>6} {'delivers':>9} {'mean trials':>12} {'bound':>7} {'ratio':>6}")
    for floor_ppm in FLOORS:
        for success in RATES:
            needed = mean(pool.map(trials, [(floor_ppm, success, seed) for seed in range(repetitions)], chunksize=8))
            bound = wald(success)
            print(
                f"{floor_ppm / 1e4:>5g}% {success:>9.0%} {needed:>12.0f} {bound:>7.0f} {needed / bound:>6.2f}",
                flush=True,
            )


def show_time(pool: PoolType, repetitions: int) -> None:
    """The second table."""
    print(f"{'floor':>6} {'delivers':>9} {'median':>8} {'95 %':>8}")
    for floor_ppm in FLOORS:
        for success in RATES:
            jobs = [(floor_ppm, success, 1.0, seed) for seed in range(repetitions)]
            found: Sequence[float] = [one for one in pool.map(seconds, jobs, chunksize=8) if one is not None]
            late = quantiles(found, n=20)[-1]
            print(f"{floor_ppm / 1e4:>5g}% {success:>9.0%} {median(found):>6.0f} s {late:>6.0f} s", flush=True)


def show_false(pool: PoolType, days: int) -> None:
    """The third table."""
    print(f"{'floor':>6} {'events/s':>9} {'days':>6} {'rolled back':>12}")
    for floor_ppm in FLOORS:
        for per_second in (1.0, 25.0):
            jobs = [(floor_ppm, floor_ppm / 1e6, per_second, seed) for seed in range(days)]
            false = sum(one is not None for one in pool.map(seconds, jobs, chunksize=2))
            print(f"{floor_ppm / 1e4:>5g}% {per_second:>9g} {days:>6} {false:>12}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("trials", "time", "false"))
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--days", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with Pool(options.jobs) as pool:
        if options.what == "trials":
            show_trials(pool, options.repetitions)
        elif options.what == "time":
            show_time(pool, options.repetitions)
        else:
            show_false(pool, options.days)


if __name__ == "__main__":
    main()
