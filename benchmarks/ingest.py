"""Ingest: the writer with all that it keeps straight, against a bare bulk load of the same outcome rows, in one run.

    python -m benchmarks.ingest [--reports 400] [--outcomes 250] [--threads 32]

The bare load is a binary COPY (PostgreSQL) or an executemany (SQLite) of 5,000 rows a transaction. Both wait for the
disk. CPU is that of this process; PostgreSQL's own is not in it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from controller.clock import system_clock
from controller.domain.instances import Instance, InstanceArm
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.tallies import Counts
from controller.domain.windows import WindowKey, window_start
from controller.storage import outcomes, schema
from controller.storage.batches import Batch
from controller.storage.database import Database
from controller.storage.outcomes import Outcome
from controller.storage.writer import IngestWriter
from tests.postgres import PostgresServer

FLAG = "unified-websocket-emitter"
VARIANTS = ("legacy", "unified")
BARE_ROWS = 5_000


def a_report(number: int, size: int, now_ms: int) -> Batch:
    """A report of one of 100 instances: windows of both variants and all events, gauges and raw outcomes."""
    instance = f"instance-{number % 100:03}"
    rows = tuple(an_outcome(instance, number, at, now_ms) for at in range(size))
    windows: dict[WindowKey, Counts] = {}
    for row in rows:
        key = WindowKey(FLAG, row.variant, row.event_type, window_start(row.at_ms))
        windows[key] = windows.get(key, Counts()).plus(Counts(1, 1, latency_ms=row.latency_ms or 0))
    return Batch(
        f"batch-{number:08}",
        Instance(instance, now_ms, seq=number),
        arms=tuple(InstanceArm(instance, FLAG, variant, exposures=number) for variant in VARIANTS),
        windows=windows,
        outcomes=rows,
    )


def an_outcome(instance: str, report: int, at: int, now_ms: int) -> Outcome:
    """One of many."""
    return Outcome(
        FLAG,
        VARIANTS[at % 2],
        CRITICAL_EVENTS[at % 5],
        "delivered",
        now_ms - at * 40,
        instance,
        epoch=3,
        event_id=f"{report:012x}{at:08x}",
        latency_ms=20 + at % 50,
        status="confirmed",
        user_hash=f"{at % 97:016x}",
        run_hash=f"{at % 89:016x}",
    )


def measure(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds and CPU seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def bare(database: Database, reports: list[Batch]) -> None:
    """Nothing but the rows."""
    rows = [row for report in reports for row in report.outcomes]
    for start in range(0, len(rows), BARE_ROWS):
        with database.write() as connection:
            outcomes.append(connection, rows[start : start + BARE_ROWS])


def written(database: Database, reports: list[Batch], threads: int) -> None:
    """Every report acknowledged to the thread that sent it."""
    writer = IngestWriter(database, system_clock)
    writer.start()
    with ThreadPoolExecutor(threads) as pool:
        receipts = list(pool.map(writer.submit, reports))
    writer.stop()
    if any(receipt.duplicate for receipt in receipts):
        raise AssertionError("a fresh report was taken for a repeat")


def run(name: str, url: str, reports: list[Batch], threads: int) -> None:
    """Measure both on one database and print what came of it."""
    database = Database(url)
    try:
        schema.upgrade(database)
        rows = sum(len(report.outcomes) for report in reports)
        for label, work in (
            ("bare", lambda: bare(database, reports)),
            ("writer", lambda: written(database, reports, threads)),
        ):
            wall, cpu = measure(work)
            print(f"{name:12} {label:7} {rows / wall:12,.0f} {rows / cpu:16,.0f} {len(reports) / wall:12,.0f}")
    finally:
        database.close()


def main() -> None:
    """Measure both databases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=400)
    parser.add_argument("--outcomes", type=int, default=250, help="in each report")
    parser.add_argument("--threads", type=int, default=32, help="requests at a time")
    arguments = parser.parse_args()
    reports = [a_report(number, arguments.outcomes, system_clock()) for number in range(arguments.reports)]
    print(f"{'database':12} {'path':7} {'rows/s':>12} {'rows per CPU-s':>16} {'reports/s':>12}")
    with tempfile.TemporaryDirectory() as folder:
        run("SQLite", f"sqlite:///{Path(folder) / 'canary.db'}", reports, arguments.threads)
    with PostgresServer(quick=False) as server:
        server.execute("CREATE DATABASE canary")
        run("PostgreSQL", server.url("canary"), reports, arguments.threads)


if __name__ == "__main__":
    main()
