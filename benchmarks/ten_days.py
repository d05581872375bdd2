"""Ten days at 1,000 events a second on PostgreSQL, with time compressed: do size, tick and pages stay flat?

    python -m benchmarks.ten_days [--days 12] [--events-per-s 1000] [--sample 100]

Each day is generated into partitions (one raw row in `--sample`, as the policy `detail: sample:N` stores them),
windows (exact) and the ledger and analyses of a rollout that lives for the day; then the shipped sweep runs with the
day's clock. Retention is set so short that it begins within the run. A tick is the shipped evaluation of the live
rollout, a page the dashboard's overview and the rollout's page, both by the median of `--looks`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask
from sqlalchemy import text

from controller.domain.leases import Lease
from controller.domain.retention import DAY_MS, EVERY_FLAG, Kind
from controller.domain.rollouts import Rollout
from controller.storage import checkup, leases, schema, snapshots
from controller.storage.database import Database
from controller.storage.writer import IngestWriter
from controller.usecases import retention as keeping
from controller.usecases import rollouts as commands
from controller.usecases import starting
from controller.usecases.evaluation import evaluate
from controller.usecases.verification import check_rollback
from controller.web.app import create_app
from tests.builders import EVENTS, FLAG, T0, a_flag, manifest, order, report
from tests.clocks import FakeClock
from tests.postgres import PostgresServer
from tests.web.callers import Door

_SLOT_MS = 10_000
_KEPT = {Kind.RAW: "2d", Kind.WINDOWS: "3d", Kind.LEDGER: "2d", Kind.ANALYSES: "2d"}
_RAW = """
INSERT INTO outcomes (flag_key, variant, event_type, outcome, at_ms, instance, epoch, event_id, latency_ms, status,
                      reason, user_hash, run_hash)
SELECT :flag, CASE WHEN n % 2 = 0 THEN 'legacy' ELSE 'unified' END, (CAST(:events AS text[]))[1 + n % 5],
       CASE WHEN n % 100 = 7 THEN 'failed' ELSE 'delivered' END, :from_ms + n * CAST(:each_ms AS bigint),
       'instance-' || n % 100, :epoch, md5(n::text), 20 + n % 50, 'confirmed', '', md5((n / 7)::text),
       md5((n / 5)::text)
FROM generate_series(0, CAST(:count AS bigint) - 1) n
"""
_WINDOWS = """
INSERT INTO windows (flag_key, starts_ms, variant, event_type, attempts, delivered, failed, abandoned, interrupted,
                     latency_ms)
SELECT :flag, :from_ms + slot * 10000, variant, event, :each, :each - 1, 1, 0, 0, 40 * :each
FROM generate_series(0, 8639) slot, unnest(ARRAY['legacy', 'unified']) variant, unnest(CAST(:events AS text[])) event
ON CONFLICT DO NOTHING
"""
_LEDGER = """
INSERT INTO ledger (rollout, seq, epoch, arm, stream, failed, total)
SELECT l.rollout, :last + slot, l.epoch, l.arm, l.stream, 0, :each * 1000
FROM generate_series(1, 8600) slot, (SELECT DISTINCT rollout, epoch, arm, stream FROM ledger WHERE rollout = :rollout) l
"""


@dataclass(frozen=True)
class Day:
    """What is measured at the end of a day."""

    size_gb: float
    raw_rows: int
    tick_ms: float
    overview_ms: float
    rollout_ms: float
    sweep_s: float


class World:
    """One database, a clock that a day takes moments of, and the shipped code."""

    def __init__(self, database: Database, per_s: int, sample: int, looks: int) -> None:
        self.database, self.per_s, self.sample, self.looks = database, per_s, sample, looks
        self.clock = FakeClock(T0 // DAY_MS * DAY_MS)
        with database.write() as connection:
            snapshots.publish(connection, self.clock())
        a_flag(database, FLAG, self.clock())
        keeping.change(
            database, EVERY_FLAG, 0, keep=_KEPT, detail=f"sample:{sample}", actor="benchmark", now_ms=self.clock()
        )
        self.writer = IngestWriter(database, self.clock)
        self.app: Flask = create_app(Door(database, self.clock, self.writer).services(open_reading=True))

    def live_a_day(self, number: int) -> Day:
        """One more day: its rollout, its rows, its sweep; measured while the rollout is live."""
        key, from_ms = f"day-{number:02}", self.clock()
        keeping.sweep(self.database, from_ms)  # makes the days' partitions
        rollout = self.begin(key)
        self.judge(rollout)
        self._fill(rollout, from_ms)
        self.clock.advance(DAY_MS - 600_000)
        began = time.perf_counter()
        swept = keeping.sweep(self.database, self.clock())
        sweep_s = time.perf_counter() - began
        if swept.troubles:
            raise RuntimeError(str(swept.troubles))
        with self.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))  # as autovacuum does in between
        day = self._measured(rollout, sweep_s)
        commands.rollback(self.database, key, order(self.clock()))
        self.clock.advance(600_000)
        check_rollback(self.database, key, self._lease(), self.clock())
        return day

    def begin(self, key: str) -> Rollout:
        """A live rollout of a day of its own."""
        stages = [{"share": "50%", "bake": "7d"}, {"share": "100%", "bake": "7d"}]
        commands.apply(self.database, manifest(rollout=key, stages=stages, allow_overlap=True), order(self.clock()))
        return starting.start(self.database, key, order(self.clock()))[0]

    def judge(self, rollout: Rollout) -> float:
        """New evidence, ten seconds later, and one evaluation; returns its milliseconds."""
        for arm in ("control", "canary"):
            report(self.database, rollout, delivered=200, arm=arm)
        self.clock.advance(_SLOT_MS)
        lease = self._lease()
        began = time.perf_counter()
        evaluate(self.database, [rollout.key], lease, self.clock())
        return 1000 * (time.perf_counter() - began)

    def _lease(self) -> Lease:
        with self.database.write() as connection:
            lease = leases.acquire(connection, "benchmark", leases.now(connection, self.clock()))
        if lease is None:
            raise RuntimeError("the lease is not to be had")
        return lease

    def _fill(self, rollout: Rollout, from_ms: int) -> None:
        rows = self.per_s * 86_400 // self.sample
        with self.database.write(within_s=600) as connection:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            said = {"flag": FLAG, "events": list(EVENTS), "from_ms": from_ms, "epoch": rollout.epoch}
            connection.execute(text(_RAW), {**said, "count": rows, "each_ms": 86_400_000 // rows})
            connection.execute(text(_WINDOWS), {**said, "each": self.per_s})
            connection.execute(text(_LEDGER), {"rollout": rollout.key, "last": 1_000, "each": self.per_s})
            self._copy_analyses(connection, rollout.key)

    def _copy_analyses(self, connection, rollout: str) -> None:  # type: ignore[no-untyped-def]
        names = [
            row[0]
            for row in connection.execute(
                text("SELECT column_name FROM information_schema.columns WHERE table_name = 'analyses'")
            )
        ]
        own = {"seq": "-slot", "closed_ms": "closed_ms - 86400000 + slot * 10000"}
        chosen = ", ".join(own.get(name, name) for name in names)
        connection.execute(
            text(
                f"INSERT INTO analyses ({', '.join(names)}) SELECT {chosen} FROM analyses, "
                "generate_series(1, 8600) slot WHERE rollout = :rollout AND seq = 1"
            ),
            {"rollout": rollout},
        )

    def _measured(self, rollout: Rollout, sweep_s: float) -> Day:
        client = self.app.test_client()

        def page(path: str) -> Callable[[], float]:
            def look() -> float:
                began = time.perf_counter()
                answer = client.get(path)
                if answer.status_code != 200:
                    raise RuntimeError(f"{path}: {answer.status_code}")
                return 1000 * (time.perf_counter() - began)

            return look

        looks = [lambda: self.judge(rollout), page("/"), page(f"/rollouts/{rollout.key}")]
        tick, overview, one = (statistics.median(look() for _ in range(self.looks)) for look in looks)
        with self.database.read() as connection:
            size = checkup.size_bytes(connection) / 1e9
            raw = int(connection.execute(text("SELECT count(*) FROM outcomes")).scalar_one())
        return Day(size, raw, tick, overview, one, sweep_s)


def main() -> None:
    """Live the days."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=12)
    parser.add_argument("--events-per-s", type=int, default=1_000)
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--looks", type=int, default=15)
    found = parser.parse_args()
    with PostgresServer() as server:
        server.execute("CREATE DATABASE canary")
        database = Database(server.url("canary"))
        schema.upgrade(database)
        world = World(database, found.events_per_s, found.sample, found.looks)
        print("| day | database GB | raw rows | tick ms | overview ms | rollout page ms | sweep s |")
        print("|---|---|---|---|---|---|---|")
        for number in range(1, found.days + 1):
            day = world.live_a_day(number)
            print(
                f"| {number} | {day.size_gb:.2f} | {day.raw_rows:,} | {day.tick_ms:.1f} | {day.overview_ms:.1f} | "
                f"{day.rollout_ms:.1f} | {day.sweep_s:.1f} |",
                flush=True,
            )
        database.close()


if __name__ == "__main__":
    main()
