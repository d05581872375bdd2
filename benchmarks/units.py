"""Agent runs through the client's own book of units and the shipped judge: detection, and false rollbacks.

    python benchmarks/units.py detect [--repetitions 200] [--jobs 2]
    python benchmarks/units.py false [--days 200] [--jobs 2] [--pattern whole_run]

A run lasts 5 to 60 s and has ten events of five types, settled at once. The floor is 96 %; evidence is judged each half
second, as on a controller that new failures wake.

detect   seconds and failed events until the rollback, at the median, of `unit: run` with 0.1 and 5 runs a second.
false    how many days of a canary exactly at its floor were rolled back, with 0.1 runs a second; 4 % fail
         independent  of the events, each by itself
         whole_run    of the runs, with all their events
         late         of the events after the first of their type
         one_type     of the events of one type
         sticky       of 300 users, with all that they do (`unit: user/10m`)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from multiprocessing import Pool
from random import Random
from statistics import median

from controller.domain.guards import Guard
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Effect
from controller.domain.judge.freeze import freeze
from controller.domain.judge.judge import judge
from controller.domain.judge.state import fresh_state
from controller.domain.ledger import Gauges, Slot, ledger_rows
from controller.domain.metrics import DELIVERY, UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS, Arm, OutcomeClass
from controller.domain.plans import Plan, Stage
from controller.domain.tallies import Tally
from controller.domain.unit_book import UnitBook
from controller.domain.units import UnitRules

WEIGHT = 1_000
STARTED, THINKING, EXECUTING, COMPLETED, ENDED = CRITICAL_EVENTS
MIDDLE = (THINKING, EXECUTING, COMPLETED, THINKING, EXECUTING, COMPLETED, THINKING, THINKING)
SLOT_MS = 500
SLOT_OF_JUDGE_MS = 10_000
Key = tuple[int, str, str]
DAY_S = 86_400
USERS = 300
BAD = 0.04


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a user; `broken` if everything in it fails."""

    number: int
    user: int
    broken: bool


@dataclass(frozen=True, slots=True)
class Pattern:
    """What fails: users and runs as a whole, and events by their type and whether they are the first of it."""

    users: float = 0.0
    runs: float = 0.0
    event: Callable[[str, bool], float] = lambda _type, _first: 0.0
    kind: UnitKind = UnitKind.RUN


DETECT = {
    "20 % of the runs": Pattern(runs=0.2),
    "everything": Pattern(runs=1.0),
    "half of one type": Pattern(event=lambda kind, _: 0.5 * (kind == EXECUTING)),
}
FALSE = {
    "independent": Pattern(event=lambda _type, _first: BAD),
    "whole_run": Pattern(runs=BAD),
    "late": Pattern(event=lambda _type, first: 0.0 if first else BAD),
    "one_type": Pattern(event=lambda kind, _: BAD * (kind == EXECUTING)),
    "sticky": Pattern(users=BAD, kind=UnitKind.USER_10M),
}


def constants(kind: UnitKind) -> Constants:
    """The delivery guard with the floor 96 %."""
    plan = Plan((Stage(WEIGHT, 1), Stage(10_000, 1)), guards=(Guard("delivery", floor_ppm=960_000),), unit=kind)
    return freeze(plan, {})


def events(pattern: Pattern, per_second: float, chance: Random) -> Iterator[tuple[float, Run, str]]:
    """The events of all runs in the order of their times, without an end."""
    waiting: list[tuple[float, int, int, Run, str]] = []
    at, number = 0.0, 0
    while True:
        at += chance.expovariate(per_second)
        while waiting and waiting[0][0] <= at:
            when, _, _, run, kind = heappop(waiting)
            yield when, run, kind
        user = chance.randrange(USERS)
        run = Run(number, user, user < pattern.users * USERS or chance.random() < pattern.runs)
        length = chance.uniform(5, 60)
        times = [0.0, *sorted(chance.uniform(0, length) for _ in MIDDLE), length]
        for place, (offset, kind) in enumerate(zip(times, (STARTED, *MIDDLE, ENDED), strict=True)):
            heappush(waiting, (at + offset, number, place, run, kind))
        number += 1


class Bench:
    """The judge over evidence as it comes: what has not failed waits until something has, since it cannot convict.

    Between restarts only the sum of good news matters, so it is judged in two parts: up to the ten seconds in which the
    failure came, and since.
    """

    def __init__(self, kind: UnitKind) -> None:
        self._kind, self._frozen = kind, constants(kind)
        self._state = fresh_state(self._frozen, 1)
        self._before: dict[Key, Tally] = {}
        self._since: dict[Key, Tally] = {}
        self._times = (0, 0)

    def enter(self, tallies: dict[Key, Tally], end_ms: int) -> bool:
        """Take the evidence of a slot. True when it convicts."""
        before_ms, since_ms = self._times
        if end_ms // SLOT_OF_JUDGE_MS > since_ms // SLOT_OF_JUDGE_MS:
            for key, tally in self._since.items():
                self._before[key] = self._before.get(key, Tally()).plus(tally)
            self._since, before_ms = {}, since_ms
        self._times = (before_ms, end_ms)
        if any(tally.failed for tally in tallies.values()):
            waiting = ((self._before, before_ms), (self._since, since_ms))
            self._before, self._since = {}, {}
            for held, closed_ms in waiting:
                if held and self._judge(held, closed_ms):
                    return True
            return self._judge(tallies, end_ms)
        for key, tally in tallies.items():
            self._since[key] = self._since.get(key, Tally()).plus(tally)
        return False

    def _judge(self, tallies: dict[Key, Tally], closed_ms: int) -> bool:
        rows = ledger_rows(tallies, self._kind, (DELIVERY,), CRITICAL_EVENTS)
        slot = Slot(self._state.seq + 1, closed_ms, 1, WEIGHT, rows, Gauges(active=8))
        self._state, analysis = judge(self._frozen, self._state, slot)
        return analysis.effect is Effect.ROLLBACK


def until_rollback(pattern: Pattern, per_second: float, seconds: int, seed: int) -> tuple[float, int] | None:
    """Seconds and failed events until the judge rolls back; None where it does not within the time."""
    chance, bench = Random(seed), Bench(pattern.kind)
    rules = UnitRules("r", pattern.kind, frozenset(CRITICAL_EVENTS))
    book = UnitBook()
    end_ms, failed = SLOT_MS, 0
    seen: dict[int, set[str]] = {}
    for at, run, kind in events(pattern, per_second, chance):
        while 1_000 * at >= end_ms:
            book.sweep(end_ms)
            if proofs := book.drain():
                tallies = {(key.epoch, key.arm, key.stream): proof.tally for key, proof in proofs.items()}
                if bench.enter(tallies, end_ms):
                    return end_ms / 1_000, failed
            end_ms += SLOT_MS
        if at > seconds:
            return None
        first = kind not in seen.setdefault(run.number, set())
        seen[run.number].add(kind)
        fails = run.broken or chance.random() < pattern.event(kind, first)
        failed += fails
        now_ms, names = round(1_000 * at), {"user": str(run.user), "run": str(run.number)}
        ticket = book.attempt(rules, arm=Arm.CANARY.value, epoch=1, event_type=kind, now_ms=now_ms, **names)
        book.settle(ticket, OutcomeClass.FAILED if fails else OutcomeClass.DELIVERED)
        if kind == ENDED:
            del seen[run.number]
            if pattern.kind is UnitKind.RUN:
                book.end_run("r", Arm.CANARY.value, str(run.number))
    return None


def _detect(job: tuple[str, float, int, int]) -> tuple[float, int] | None:
    name, per_second, seconds, seed = job
    return until_rollback(DETECT[name], per_second, seconds, seed)


def _false(job: tuple[str, int]) -> bool:
    name, seed = job
    return until_rollback(FALSE[name], 0.1, DAY_S, seed) is not None


def detect(repetitions: int, jobs: int) -> None:
    """A table of detection."""
    print(f"{'fails':18} {'runs/s':>6} {'found':>9} {'seconds':>8} {'failed events':>14}")
    with Pool(jobs) as pool:
        for name in DETECT:
            for per_second in (0.1, 5.0):
                found = pool.map(_detect, [(name, per_second, 4 * 3_600, seed) for seed in range(repetitions)])
                ended = [one for one in found if one is not None]
                middle = [median(one[at] for one in ended) for at in (0, 1)] if ended else [float("nan")] * 2
                count = f"{len(ended)}/{repetitions}"
                print(f"{name:18} {per_second:>6g} {count:>9} {middle[0]:>8g} {middle[1]:>14g}", flush=True)


def false(days: int, jobs: int, patterns: list[str]) -> None:
    """A table of false rollbacks."""
    print(f"{'pattern':12} {'days':>6} {'rolled back':>12}")
    with Pool(jobs) as pool:
        for name in patterns:
            found = pool.map(_false, [(name, seed) for seed in range(days)], chunksize=2)
            print(f"{name:12} {days:>6} {sum(found):>12}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("detect", "false"))
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--days", type=int, default=200)
    parser.add_argument("--pattern", choices=list(FALSE), action="append")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if options.what == "detect":
        detect(options.repetitions, options.jobs)
    else:
        false(options.days, options.jobs, options.pattern or list(FALSE))


if __name__ == "__main__":
    main()
