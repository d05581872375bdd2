"""Replicas under fire: applications report through a balancer while one replica after the other is killed.

    python -m tests.flow.fire [--seconds 300] [--every 5]

brings its own PostgreSQL and prints what was lost, doubled, decided twice or late; the exit code is 1 if anything was.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from controller.usecases.replay import replay
from controller.wire.api.judging import LedgerView
from tests.builders import ROLLOUT
from tests.flow.counts import counts_of
from tests.flow.front import Front
from tests.flow.site import Site, migrated, until
from tests.flow.traffic import Traffic, evidence_of, ledger_of
from tests.postgres import PostgresServer

_EVENTS_OF_A_USER = 5
_MOST_GAP_MS = 15_000


@dataclass
class Fire:
    """What came of it.

    Attributes:
        kills, terms: replicas killed; times the lease changed hands.
        sent: outcomes by the applications' own count.
        windows, raw, distinct, evidence: the same as the controller has them.
        unadmitted, dropped: what the applications say they left out, of the evidence and of the details, for want of
            room.
        decisions: by action. gap_ms: the longest time between two analyses. differing: of the replay.
        moved: all applications serve the canary's variant in the end.
    """

    kills: int
    terms: int
    sent: int
    windows: int
    raw: int
    distinct: int
    evidence: int
    unadmitted: int
    dropped: int
    decisions: dict[str, int]
    gap_ms: int
    differing: int
    phase: str
    moved: bool

    def faults(self) -> list[str]:
        """What must not have happened, in words."""
        checks = {
            f"{self.sent} outcomes sent, {self.windows} in windows": self.windows == self.sent,
            f"{self.sent} outcomes sent, {self.evidence} in the ledger": self.evidence + self.unadmitted == self.sent,
            f"{self.raw} raw rows, {self.distinct} distinct": self.raw == self.distinct,
            f"{self.raw} raw rows and {self.dropped} dropped of {self.sent}": self.raw + self.dropped == self.sent,
            f"decisions: {self.decisions}": self.decisions == {"advance": 1, "promote": 1},
            f"{self.gap_ms} ms without an evaluation": self.gap_ms <= _MOST_GAP_MS,
            f"{self.differing} analyses differ in the replay": not self.differing,
            f"the rollout is {self.phase}": self.phase == "promoted",
            "an application did not hear of the end": self.moved,
        }
        return [words for words, holds in checks.items() if not holds]


def under_fire(database_url: str, folder: Path, *, seconds: float, every_s: float, tail_s: float = 30) -> Fire:
    """Two replicas and three applications; replicas are killed in turn, and started again at once.

    The last stage bakes for `tail_s` longer, so that the ledger can be read before the rollout has ended.
    """
    sites = [Site(database_url, folder, f"replica-{n}") for n in range(2)]
    try:
        for site in sites:
            site.start()
        with Front([site.port for site in sites]) as front:
            bake = f"{round(seconds / 2)}s"
            last = f"{round(seconds / 2 + tail_s)}s"
            sites[0].begin(stages=[{"share": "50%", "bake": bake}, {"share": "100%", "bake": last}])
            applications = [Traffic(sites[0], url=front.url, instance=f"app-{n}", pause_s=0.03) for n in range(3)]
            for one in applications:
                one.start()
            kills = _kill_in_turn(sites, seconds, every_s)
            return _settled(database_url, sites[0], applications, kills)
    finally:
        for site in sites:
            site.close()


def _kill_in_turn(sites: list[Site], seconds: float, every_s: float) -> int:
    kills, began, pause = 0, time.monotonic(), threading.Event()
    while time.monotonic() - began < seconds:
        due = began + (kills + 1) * every_s
        pause.wait(max(0.0, due - time.monotonic()))
        site = sites[kills % len(sites)]
        site.kill()
        kills += 1
        site.start()
    return kills


def _settled(database_url: str, site: Site, applications: list[Traffic], kills: int) -> Fire:
    """Wait until everything has arrived, and the rollout has ended."""
    sent = lambda: _EVENTS_OF_A_USER * sum(one.users for one in applications)  # noqa: E731
    for one in applications:
        one.pause()
    until(lambda: all(one.reporter.flush(30) for one in applications), "the applications have sent everything", 60)
    found: list[LedgerView] = []

    def arrived() -> bool:
        found[:] = [ledger_of(site)]
        return evidence_of(found[0]) >= sent()

    with contextlib.suppress(AssertionError):  # what is missing is told with everything else
        until(arrived, "the evidence reached the ledger", 25)
    evidence, differing = (
        evidence_of(found[0]),
        sum(bool(one.differs) for one in replay(found[0].rounds, found[0].slots)),
    )
    until(lambda: site.rollout()["phase"] != "progressing", "the rollout ended", 120)
    until(lambda: all(one.serves("unified") for one in applications), "the applications heard of it", 30)
    told = [one.reporter.counters() for one in applications]
    moved = all(one.serves("unified") for one in applications)
    for one in applications:
        one.finish()
    actions = site.http.get(f"/api/v1/rollouts/{ROLLOUT}/decisions?limit=500").raise_for_status().json()["items"]
    counts = counts_of(database_url)
    closed = sorted(slot.closed_ms for slot in found[0].slots)
    return Fire(
        kills=kills,
        terms=counts.term,
        sent=sent(),
        windows=counts.windows,
        raw=counts.raw,
        distinct=counts.distinct,
        evidence=evidence,
        unadmitted=sum(one.unadmitted for one in told),
        dropped=sum(one.dropped for one in told),
        decisions=dict(Counter(one["action"] for one in actions if one["actor"] == "judge")),
        gap_ms=max((after - before for before, after in pairwise(closed)), default=0),
        differing=differing,
        phase=site.rollout()["phase"],
        moved=moved,
    )


def main() -> None:
    """The long run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--every", type=float, default=5)
    found = parser.parse_args()
    with PostgresServer() as server, tempfile.TemporaryDirectory() as folder:
        fire = under_fire(migrated(server), Path(folder), seconds=found.seconds, every_s=found.every)
    print(fire)
    faults = fire.faults()
    print("\n".join(faults) if faults else "nothing lost, nothing doubled, nothing decided twice, no gap over 15 s")
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
