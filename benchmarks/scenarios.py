"""How often the shipped judge rolls back a canary that is exactly as good as its floor, in awkward days.

    python benchmarks/scenarios.py [--days 300] [--judged 10] [--jobs 2] [--scenario clustered]

Each day is 24 hours of units (users within ten minutes) at one canary unit a second over a share of 10 %, judged by
the constants of `unit: user/10m` in ten-second slots. The bound is 1 % of days. A rollback is false where the canary's
users, as they are on that day, are served at the floor or better.

A day is 8,640 slots, for which the judge takes seconds. So the evidence of all days is first computed for all at once
(`peaks`), and judged are the days on which it reaches its line or a block is bad, and the first `--judged` of each row
whatever it does: on those the evidence of both must be the same to the last digit.

clustered   one user in ten has a bad client and carries all failures; each of its units fails as a whole
drawn       the same, and the canary's thousand users are drawn anew each day: at the floor on average, on half of the
            days below it
sessions    users stay for an hour on average, and in some sessions everything fails: beyond what a unit of ten minutes
            answers for
deploy      every hour all processes restart one by one: a tenth of the units is interrupted within two minutes
abandoned   in waves of an hour up to half of the outcomes are abandoned, on both arms alike
autoscaling traffic swings by a factor of ten and one unit in ten moves to another process, where it counts once more
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from multiprocessing import Pool
from multiprocessing.pool import Pool as PoolType

import numpy as np

from controller.domain.guards import PPM, Guard
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Effect
from controller.domain.judge.freeze import freeze
from controller.domain.judge.judge import judge
from controller.domain.judge.state import fresh_state
from controller.domain.ledger import SLOT_MS, Gauges, LedgerRow, Slot
from controller.domain.metrics import LATER, REPORTING, Metric
from controller.domain.outcomes import CRITICAL_EVENTS, Arm
from controller.domain.plans import Plan, Stage
from controller.domain.tallies import UNIT

SLOTS = 86_400_000 // SLOT_MS
WEIGHT = 1_000
TYPES = len(CRITICAL_EVENTS)
STREAMS = (*CRITICAL_EVENTS, LATER)
UNITS_PER_SLOT = 10.0
USERS = 1_000
BAD_CLIENTS = 0.1
UNITS_PER_SESSION = 6
_AT_ONCE = 50
FLOORS = (960_000, 975_000)


@dataclass(frozen=True, slots=True)
class Day:
    """By slot: failed and all units of each stream, and of what is watched, for (canary, control)."""

    failed: np.ndarray
    total: np.ndarray
    abandoned: np.ndarray
    interrupted: np.ndarray
    units: np.ndarray
    below_floor: bool = False


def constants(floor_ppm: int) -> Constants:
    """The delivery guard with a floor."""
    return freeze(Plan((Stage(WEIGHT, 1), Stage(10_000, 1)), guards=(Guard("delivery", floor_ppm=floor_ppm),)), {})


def arms(rate: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Units by (slot, arm): the control has nine times as many."""
    return chance.poisson(np.stack([rate, 9 * rate], axis=1))


def as_a_whole(units: np.ndarray, failing: np.ndarray | float, chance: np.random.Generator) -> np.ndarray:
    """Units that fail with all their outcomes, in every stream at once."""
    return np.repeat(chance.binomial(units, failing)[..., None], TYPES + 1, axis=2)


def plain(units: np.ndarray, failed: np.ndarray) -> Day:
    """A day on which nobody leaves and nothing is interrupted."""
    total = np.repeat(units[..., None], TYPES + 1, axis=2)
    return Day(failed, total, np.zeros_like(units), np.zeros_like(units), units)


def of_users(with_bad_client: float, bad: float, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """All and failed units where so large a share of the canary's users has a bad client; a tenth of all users have."""
    units = arms(np.full(SLOTS, UNITS_PER_SLOT), chance)
    whose = chance.binomial(units, np.array([with_bad_client, BAD_CLIENTS]))
    failed = as_a_whole(whose, bad / BAD_CLIENTS, chance)
    return units, failed


def clustered(bad: float, chance: np.random.Generator) -> Day:
    """A tenth of the canary's users have bad clients."""
    return plain(*of_users(BAD_CLIENTS, bad, chance))


def drawn(bad: float, chance: np.random.Generator) -> Day:
    """How many of the canary's users have bad clients is the luck of the draw."""
    share = chance.binomial(USERS, BAD_CLIENTS) / USERS
    return replace(plain(*of_users(share, bad, chance)), below_floor=share > BAD_CLIENTS)


def sessions(bad: float, chance: np.random.Generator) -> Day:
    """One session in 1 / `bad` is broken from its beginning to its end, a unit each ten minutes."""
    units, failed = np.zeros((SLOTS, 2), int), np.zeros((SLOTS, 2), int)
    for arm, per_slot in enumerate((UNITS_PER_SLOT, 9 * UNITS_PER_SLOT)):
        began = np.repeat(np.arange(SLOTS), chance.poisson(per_slot / UNITS_PER_SESSION, SLOTS))
        length, broken = chance.geometric(1 / UNITS_PER_SESSION, len(began)), chance.random(len(began)) < bad
        for number in range(int(length.max())):
            slot = began + 60 * number
            there = (length > number) & (slot < SLOTS)
            np.add.at(units[:, arm], slot[there], 1)
            np.add.at(failed[:, arm], slot[there & broken], 1)
    return plain(units, np.repeat(failed[..., None], TYPES + 1, axis=2))


def deploy(bad: float, chance: np.random.Generator) -> Day:
    """Interrupted outcomes are outside the rate."""
    units = arms(np.full(SLOTS, UNITS_PER_SLOT), chance)
    restarting = (np.arange(SLOTS) % 360 < 12)[:, None]
    interrupted = chance.binomial(units, 0.1 * np.broadcast_to(restarting, units.shape))
    left = units - interrupted
    day = plain(left, as_a_whole(left, bad, chance))
    return Day(day.failed, day.total, day.abandoned, interrupted, units)


def abandoned(bad: float, chance: np.random.Generator) -> Day:
    """Abandoned outcomes are outside the rate."""
    units = arms(np.full(SLOTS, UNITS_PER_SLOT), chance)
    wave = 0.25 * (1 + np.sin(np.arange(SLOTS) * 2 * np.pi / 360))[:, None]
    gone = chance.binomial(units, np.broadcast_to(wave, units.shape))
    left = units - gone
    day = plain(left, as_a_whole(left, bad, chance))
    return Day(day.failed, day.total, gone, day.interrupted, units)


def autoscaling(bad: float, chance: np.random.Generator) -> Day:
    """A unit that moves counts twice, with the same fate."""
    rate = UNITS_PER_SLOT * 10 ** np.sin(np.arange(SLOTS) * 2 * np.pi / 2_160) / 2
    units = arms(rate, chance)
    whole = chance.binomial(units, bad)
    failed = whole + chance.binomial(whole, 0.1)
    total = failed + (units - whole) + chance.binomial(units - whole, 0.1)
    spread = np.repeat(failed[..., None], TYPES + 1, axis=2)
    return Day(spread, np.repeat(total[..., None], TYPES + 1, axis=2), 0 * units, 0 * units, units)


SCENARIOS = {
    "clustered": clustered,
    "drawn": drawn,
    "sessions": sessions,
    "deploy": deploy,
    "abandoned": abandoned,
    "autoscaling": autoscaling,
}


def peaks(failed: np.ndarray, total: np.ndarray, frozen: Constants) -> tuple[np.ndarray, np.ndarray]:
    """By (day, slot, stream) of canaries: which days may convict; and the last evidence, (day, stream, alternative)."""
    (test,) = frozen.tests
    lines = {of.stream: of for of in test.streams}
    high = np.array([lines[stream].lines for stream in STREAMS])
    size = np.array([lines[stream].block for stream in STREAMS])
    on_failure, on_success = np.array(test.scores).T
    days, _, streams = failed.shape
    evidence = np.full((days, streams, len(test.scores)), frozen.start)
    block = np.zeros((2, days, streams), np.int64)
    suspect = np.zeros(days, bool)
    for at in range(failed.shape[1]):
        bad, good = failed[:, at, :], total[:, at, :] - failed[:, at, :]
        restarted = np.where(evidence <= 0, 0, evidence)
        evidence = restarted + bad[..., None] * on_failure + good[..., None] * on_success
        block += UNIT * bad, UNIT * (bad + good)
        full = block[1] >= size
        suspect |= (evidence >= high).any(axis=(1, 2)) | (full & (PPM * block[0] > test.allowed_ppm * block[1])).any(
            axis=1
        )
        block[:, full] = 0
    return suspect, evidence


def rows(day: Day, at: int) -> tuple[LedgerRow, ...]:
    """The ledger's rows of one slot."""
    found = []
    for arm, name in enumerate((Arm.CANARY.value, Arm.CONTROL.value)):
        tallies = [(stream, day.failed[at, arm, n], day.total[at, arm, n]) for n, stream in enumerate(STREAMS)]
        tallies += [(Metric.ABANDONED.value, day.abandoned[at, arm], day.units[at, arm])]
        tallies += [(Metric.INTERRUPTED.value, day.interrupted[at, arm], day.units[at, arm])]
        tallies += [(REPORTING, 0, day.units[at, arm])] if arm == 0 else []
        found += [LedgerRow(1, name, stream, UNIT * int(bad), UNIT * int(every)) for stream, bad, every in tallies]
    return tuple(found)


def judged(job: tuple[Day, int]) -> tuple[str, list[list[int]]]:
    """What the shipped judge did on one day (a rollback, a pause or nothing), and the evidence that it ended with."""
    day, floor_ppm = job
    frozen = constants(floor_ppm)
    state, did = fresh_state(frozen, 1), ""
    for at in range(SLOTS):
        slot = Slot(at + 1, SLOT_MS * (at + 1), 1, WEIGHT, rows(day, at), Gauges(active=8))
        state, analysis = judge(frozen, state, slot)
        if analysis.effect is Effect.ROLLBACK:
            return "rollback", []
        did = "pause" if analysis.effect is Effect.PAUSE else did
    return did, [state.canary[0][stream].evidence for stream in STREAMS]


@dataclass
class Found:
    """What became of the days of one row."""

    judged: int = 0
    false: int = 0
    below_floor: int = 0
    paused: int = 0


def row(name: str, floor_ppm: int, options: argparse.Namespace, pool: PoolType) -> Found:
    """All days of a scenario at a floor."""
    found, frozen = Found(), constants(floor_ppm)
    for first in range(0, options.days, _AT_ONCE):
        seeds = range(first, min(first + _AT_ONCE, options.days))
        days = [SCENARIOS[name](1 - floor_ppm / 1e6, np.random.default_rng([n, floor_ppm, len(name)])) for n in seeds]
        suspect, evidence = peaks(
            np.stack([day.failed[:, 0] for day in days]), np.stack([day.total[:, 0] for day in days]), frozen
        )
        chosen = [at for at, seed in enumerate(seeds) if suspect[at] or seed < options.judged]
        answers = pool.map(judged, [(days[at], floor_ppm) for at in chosen], chunksize=1)
        for at, (did, end) in zip(chosen, answers, strict=True):
            if did != "rollback" and end != evidence[at].tolist():
                raise AssertionError(f"the judge and the screen differ on day {seeds[at]}: {end} and {evidence[at]}")
            found.judged += 1
            found.false += did == "rollback" and not days[at].below_floor
            found.below_floor += did == "rollback" and days[at].below_floor
            found.paused += did == "pause"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=300)
    parser.add_argument("--judged", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--scenario", choices=list(SCENARIOS), action="append")
    options = parser.parse_args()
    print(f"{'scenario':12} {'floor':>6} {'days':>6} {'judged':>7} {'false':>6} {'below floor':>12} {'paused':>7}")
    with Pool(options.jobs) as pool:
        for name in options.scenario or SCENARIOS:
            for floor_ppm in FLOORS:
                found = row(name, floor_ppm, options, pool)
                head = f"{name:12} {floor_ppm / 10_000:>5g}% {options.days:>6} {found.judged:>7}"
                print(f"{head} {found.false:>6} {found.below_floor:>12} {found.paused:>7}", flush=True)


if __name__ == "__main__":
    main()
