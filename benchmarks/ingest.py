"""Ingest from end to end against the bare limit of the same database, side by side in one run.

    python -m benchmarks.ingest [--reports 40] [--outcomes 2500] [--senders 8] [--only sqlite|postgresql]

End to end is HTTP, gzip, the check of every row, idempotency, raw rows, windows and the ledger, each report
acknowledged after its commit, by a `canary serve` of its own with a live rollout. The bare limit is one client with
transactions of 5,000 rows (benchmarks/bare.py). Both wait for the disk. CPU is that of the server (for the bare limit:
the client) and of all of PostgreSQL's processes; the senders' is not counted. On a machine with others the rows per
CPU second are the figure to trust.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import psycopg

from benchmarks import bare, senders
from benchmarks.bare import Bare
from benchmarks.processes import ADMIN, Served, family_cpu_s, rss_mb
from benchmarks.senders import Answered, Load
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.storage import schema
from controller.storage.database import Database
from tests.postgres import PostgresServer

#: How long the bare limit is measured.
_BARE_S = 6.0
FLAG, ROLLOUT = "unified-websocket-emitter", "bench"


@dataclass(frozen=True)
class Line:
    """One measured path."""

    path: str
    rows: int
    seconds: float
    server_cpu_s: float
    database_cpu_s: float

    @property
    def per_cpu_s(self) -> float:
        """Rows per CPU second of server and database."""
        return self.rows / (self.server_cpu_s + self.database_cpu_s)

    def show(self, name: str) -> None:
        """Print it."""
        server, database = (1e6 * cpu / self.rows for cpu in (self.server_cpu_s, self.database_cpu_s))
        rate = self.rows / self.seconds
        print(f"| {name} | {self.path} | {rate:,.0f} | {server:.1f} | {database:.1f} | {self.per_cpu_s:,.0f} |")


class Waits:
    """Looks again and again whether any session of a database waits for a lock of another one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.looks = self.waiting = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._stop.wait(0.01):
                row = connection.execute(asked).fetchone()
                self.looks += 1
                self.waiting += int(row[0]) if row else 0


def bare_line(limit: Bare, database_cpu_s: float) -> Line:
    """The bare limit, with what the database's own processes used."""
    return Line("bare", limit.rows, limit.seconds, limit.client_cpu_s, database_cpu_s)


def end_to_end(served: Served, load: Load, database_cpu_s: Callable[[], float]) -> tuple[Line, Answered]:
    """As many reports as are answered."""
    before: list[float] = []
    answered = senders.run(load, lambda: before.extend((served.cpu_s(), database_cpu_s())))
    settled(served)
    rows = len(answered.latencies_ms) * load.outcomes
    used = served.cpu_s() - before[0], database_cpu_s() - before[1]
    return Line("end to end", rows, answered.seconds, *used), answered


def settled(served: Served) -> None:
    """Wait until the judge has taken the evidence into the ledger: that belongs to the work that is measured."""
    seq = -1
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        analysis = served.http.get(f"/api/v1/rollouts/{ROLLOUT}").raise_for_status().json()["analysis"]
        now = analysis["seq"] if analysis else 0
        if 0 <= seq < now:
            return
        seq = max(seq, now)
        time.sleep(0.5)


def measure(url: str, floor: Line, cpu: Callable[[], float], load: Load, log: Path) -> None:
    """Print the bare limit, the end-to-end path, their ratio, and the acknowledgements at half of the load."""
    name = "PostgreSQL" if url.startswith("postgresql") else "SQLite"
    floor.show(name)
    with Served(url, log) as served:
        epoch = served.begin(FLAG, ROLLOUT, CRITICAL_EVENTS)
        load = replace(load, url=served.url, epoch=epoch)
        senders.run(replace(load, reports=5, tag="warm"))
        began_mb = rss_mb(served.pid)
        if name == "PostgreSQL":
            with Waits(url) as waits:
                line, answered = end_to_end(served, load, cpu)
            told = f"sessions seen waiting for a lock: {waits.waiting} in {waits.looks} looks"
        else:
            line, answered = end_to_end(served, load, cpu)
            told = "one writer, no locks"
        line.show(name)
        half = len(answered.latencies_ms) / answered.seconds / 2
        calm = senders.run(replace(load, reports=load.reports // 2, per_s=half, tag="half"))
        print(
            f"\n{name}: {line.per_cpu_s / floor.per_cpu_s:.2f} x of the bare limit in rows per CPU second; "
            f"refused {sum(answered.refused.values())}; {load.senders} senders on one flag, {told}.\n"
            f"At half of that load ({half * load.outcomes:,.0f} rows/s): "
            f"acknowledged p50 {calm.percentile(0.5):.0f} ms, p99 {calm.percentile(0.99):.0f} ms, "
            f"refused {sum(calm.refused.values())}. Memory {began_mb:.0f} MB before, {rss_mb(served.pid):.0f} MB after "
            f"{(len(answered.latencies_ms) + len(calm.latencies_ms)) * load.outcomes:,} rows.\n"
        )


def on_sqlite(load: Load, folder: Path) -> None:
    """The embedded database."""
    floor = bare_line(bare.on_sqlite(folder / "bare.db", _BARE_S), 0.0)
    measure(f"sqlite:///{folder / 'canary.db'}", floor, lambda: 0.0, load, folder / "sqlite.log")


def on_postgresql(load: Load, folder: Path) -> None:
    """A server of its own, that waits for the disk."""
    with PostgresServer(quick=False) as server:
        server.execute("CREATE DATABASE canary")
        url = server.url("canary")
        database = Database(url)
        schema.upgrade(database)
        database.close()
        before = family_cpu_s(server.pid)
        limit = bare.on_postgresql(url, _BARE_S)
        floor = bare_line(limit, family_cpu_s(server.pid) - before)
        measure(url, floor, lambda: family_cpu_s(server.pid), load, folder / "postgresql.log")


def main() -> None:
    """Measure both databases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=40, help="by each sender")
    parser.add_argument("--outcomes", type=int, default=2_500, help="in each report")
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    found = parser.parse_args()
    load = Load("", ADMIN, FLAG, ROLLOUT, 0, found.outcomes, found.senders, found.reports)
    print("| database | path | rows/s | server CPU us/row | database CPU us/row | rows per CPU-s |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        if found.only != "postgresql":
            on_sqlite(load, Path(folder))
        if found.only != "sqlite":
            on_postgresql(load, Path(folder))


if __name__ == "__main__":
    main()
