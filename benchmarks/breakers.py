"""The local breaker of a fleet: how many failures trip one client, and how often any client of a fleet trips in vain.

    python benchmarks/breakers.py needed
    python benchmarks/breakers.py false [--days 100] [--jobs 2]

needed  failed units in a row, from as many users, until a client goes back to the control, by number of clients.
false   days on which at least one client of a fleet trips, where each unit fails with exactly the floor's rate; for
        24 hours without a controller, with 0.1 units of the canary a second and client. The bound is alpha, 1 %.

Constants are those that the controller publishes for a plan with the delivery guard at its floor of 96 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from multiprocessing import Pool

import numpy as np

from controller.domain.guards import Guard
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Finding
from controller.domain.judge.freeze import freeze
from controller.domain.judge.local import judge_own, local_constants, shared_out
from controller.domain.judge.state import JudgeState, fresh_state
from controller.domain.ledger import SLOT_MS, Gauges, Slot, ledger_rows
from controller.domain.metrics import DELIVERY, UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS, Arm
from controller.domain.plans import Plan, Stage
from controller.domain.tallies import UNIT, Tally

FLOOR_PPM, WEIGHT = 960_000, 5_000
CLIENTS = (1, 10, 100, 1_000)
UNITS_PER_S, DAY_S = 0.1, 86_400


def constants(clients: int) -> Constants:
    """What one of so many clients judges by."""
    made = Plan((Stage(WEIGHT, 1), Stage(10_000, 1)), guards=(Guard("delivery", floor_ppm=FLOOR_PPM),))
    text = local_constants(freeze(made, {}).canonical())
    assert text is not None
    return shared_out(text, clients)


def take(judged: Constants, state: JudgeState, failed: dict[str, int], total: dict[str, int]) -> Finding | None:
    """One slot of a client's own units by event type."""
    tallies = {(1, Arm.CANARY.value, kind): Tally(UNIT * failed[kind], UNIT * total[kind]) for kind in total}
    rows = ledger_rows(tallies, UnitKind.USER_10M, (DELIVERY,), CRITICAL_EVENTS)
    seq = state.seq + 1
    return judge_own(judged, state, Slot(seq, SLOT_MS * seq, 1, WEIGHT, rows, Gauges(active=1_000)))


def needed(clients: int) -> int:
    """Failed units of one event type in a row until the trip."""
    judged = constants(clients)
    state, kind = fresh_state(judged, 1), CRITICAL_EVENTS[0]
    while take(judged, state, {kind: 1}, {kind: 1}) is None:
        pass
    return state.seq


def slots(chance: np.random.Generator) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
    """A client's day: units of one event type a slot, in turns, where there are any."""
    counts = chance.poisson(UNITS_PER_S * SLOT_MS / 1_000, DAY_S * 1_000 // SLOT_MS)
    failures = chance.binomial(counts, 1 - FLOOR_PPM / 1e6)
    for at in np.flatnonzero(counts):
        kind = CRITICAL_EVENTS[at % len(CRITICAL_EVENTS)]
        yield {kind: int(failures[at])}, {kind: int(counts[at])}


def trips(job: tuple[int, int]) -> bool:
    """Whether any client of a fleet trips on this day."""
    clients, seed = job
    judged = constants(clients)
    for number in range(clients):
        state = fresh_state(judged, 1)
        for failed, total in slots(np.random.default_rng([seed, clients, number])):
            if take(judged, state, failed, total) is not None:
                return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("needed", "false"))
    parser.add_argument("--days", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if options.what == "needed":
        print("clients  failed units until a trip")
        for clients in CLIENTS:
            print(f"{clients:>7,}  {needed(clients):>25}", flush=True)
        return
    print("clients   days  with a trip")
    with Pool(options.jobs) as pool:
        for clients in (1, 10):
            days = max(1, options.days // clients)
            found = sum(pool.map(trips, [(clients, seed) for seed in range(days)], chunksize=1))
            print(f"{clients:>7,} {days:>6}  {found:>11}", flush=True)


if __name__ == "__main__":
    main()
