"""How often the shipped judge rolls back a canary that is exactly as good as its floor, in awkward days.

    python benchmarks/scenarios.py [--days 300] [--jobs 2] [--scenario clustered]

Each day is 24 hours of units (users within ten minutes) at one canary unit a second over a share of 10 %, judged by
the constants of `unit: user/10m` in ten-second slots. The bound is 1 % of days. A rollback is false where the canary's
users, as they are on that day, are served at the floor or better.

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
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing import Pool

import numpy as np

from controller.domain.guards import Guard
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Effect, Rule
from controller.domain.judge.freeze import freeze
from controller.domain.judge.judge import judge
from controller.domain.judge.state import fresh_state
from controller.domain.ledger import SLOT_MS, Gauges, LedgerRow, Slot
from controller.domain.metrics import LATER, REPORTING
from controller.domain.outcomes import CRITICAL_EVENTS
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


def slots(day: Day) -> Iterator[tuple[int, tuple[LedgerRow, ...]]]:
    """Rows and the number of the slot; those without a failure or a departure of the canary are merged."""
    held: dict[tuple[str, str], list[int]] = {}
    for at in range(SLOTS):
        for arm, name in enumerate(("canary", "control")):
            add = [(stream, day.failed[at, arm, n], day.total[at, arm, n]) for n, stream in enumerate(STREAMS)]
            add += [("abandoned", day.abandoned[at, arm], day.units[at, arm])]
            add += [("interrupted", day.interrupted[at, arm], day.units[at, arm])]
            add += [(REPORTING, 0, day.units[at, arm])] if arm == 0 else []
            for stream, failed, total in add:
                cell = held.setdefault((name, stream), [0, 0])
                cell[0] += int(failed)
                cell[1] += int(total)
        if any(cell[0] for (arm_name, _), cell in held.items() if arm_name == "canary") or at == SLOTS - 1:
            yield at, tuple(LedgerRow(1, *key, UNIT * failed, UNIT * total) for key, (failed, total) in held.items())
            held = {}


def one_day(job: tuple[str, int, int]) -> str:
    """What the judge did on one day: a rollback, false or of a canary below its floor, or a pause, or nothing."""
    name, floor_ppm, seed = job
    frozen = constants(floor_ppm)
    day = SCENARIOS[name](1 - floor_ppm / 1e6, np.random.default_rng([seed, floor_ppm, len(name)]))
    state = fresh_state(frozen, 1)
    paused = ""
    for at, rows in slots(day):
        slot = Slot(state.seq + 1, SLOT_MS * (at + 1), 1, WEIGHT, rows, Gauges(active=8))
        state, analysis = judge(frozen, state, slot)
        if analysis.effect is Effect.ROLLBACK:
            return "below" if day.below_floor else "false"
        if analysis.effect is Effect.PAUSE and analysis.worst is not None:
            paused = "pause" if analysis.worst.rule is Rule.MARGIN else "pause?"
    return paused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--scenario", choices=list(SCENARIOS), action="append")
    options = parser.parse_args()
    print(f"{'scenario':12} {'floor':>6} {'days':>6} {'false':>6} {'below floor':>12} {'paused':>7}")
    with Pool(options.jobs) as pool:
        for name in options.scenario or SCENARIOS:
            for floor_ppm in FLOORS:
                jobs = [(name, floor_ppm, seed) for seed in range(options.days)]
                found = pool.map(one_day, jobs, chunksize=4)
                false, below = found.count("false"), found.count("below")
                paused = sum(one.startswith("pause") for one in found)
                head = f"{name:12} {floor_ppm / 10_000:>5g}% {options.days:>6}"
                print(f"{head} {false:>6} {below:>12} {paused:>7}", flush=True)


if __name__ == "__main__":
    main()
