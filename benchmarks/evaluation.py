"""What a tick of the judge costs with 1,000 live rollouts, whatever number of raw outcomes lies behind them.

    python benchmarks/evaluation.py                       # SQLite, in a temporary folder
    python benchmarks/evaluation.py --raw 10000000        # with ten million raw outcomes behind it
    python benchmarks/evaluation.py --database-url postgresql://...   # an empty database

Each tick every rollout has new evidence in six streams of both arms, of three instances. The figure is CPU time of
this process (SQLite: the database is part of it), the median of several ticks.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from sqlalchemy import func, insert, select

from controller.domain.flags import Flag
from controller.domain.leases import Lease
from controller.domain.ledger import SLOT_MS
from controller.domain.metrics import LATER
from controller.domain.orders import Order
from controller.domain.outcomes import CRITICAL_EVENTS, Arm
from controller.domain.tallies import UNIT, EvidenceKey, Proof, Tally
from controller.storage import evidence, leases, outcomes, schema
from controller.storage.database import Database
from controller.storage.outcomes import Outcome
from controller.storage.tables import analyses, instances
from controller.storage.tables import outcomes as raw_table
from controller.usecases import flags, rollouts, starting
from controller.usecases.evaluation import evaluate
from controller.wire.manifests import Manifest, StageForm

T0 = 1_770_000_000_000
STREAMS = (*CRITICAL_EVENTS, LATER)
INSTANCES = ("a", "b", "c")
GROUP = 100
RAW_AT_ONCE = 50_000


def prepare(database: Database, count: int) -> list[str]:
    """So many live rollouts, each with a flag of its own."""
    schema.upgrade(database)
    with database.write() as connection:
        times = {"first_seen_ms": T0, "last_contact_ms": T0 + 10**9}
        said = {"reports": True, "seq": 1, "revision": 10**9, "app_version": "1", "region": "", "sdk": ""}
        connection.execute(insert(instances), [{"id": name, **times, **said} for name in INSTANCES])
    stages = [StageForm("10%", "1h"), StageForm("100%", "1h")]
    keys = []
    for number in range(count):
        key = f"r{number:04}"
        flag = Flag(f"f{number:04}", {"old": False, "new": True}, "old", "old", created_ms=T0, updated_ms=T0)
        flags.create(database, flag, actor="bench")
        order = Order("bench", T0)
        rollouts.apply(database, Manifest(key, flag.key, "old", "new", stages, allow_overlap=True), order)
        starting.start(database, key, order)
        keys.append(key)
    return keys


def tally(number: int, arm: Arm) -> Tally:
    """Ten canary units and ninety of the control; one in fifty canaries has a failure."""
    if arm is Arm.CONTROL:
        return Tally(0, 90 * UNIT)
    return Tally(UNIT if number % 50 == 0 else 0, 10 * UNIT)


def report(database: Database, keys: list[str], tick: int) -> None:
    """New evidence for everybody: nobody fails but a few of the canary, so that nothing is decided."""
    found = {
        (EvidenceKey(key, 1, arm.value, stream), instance): Proof(tally(number + tick, arm), ("0000000a",))
        for number, key in enumerate(keys)
        for arm in Arm
        for stream in STREAMS
        for instance in INSTANCES
    }
    with database.write() as connection:
        evidence.append(connection, found)


def tick(database: Database, keys: list[str], lease: Lease, now_ms: int) -> float:
    """Evaluate everybody, in groups as the scheduler does; CPU seconds of this process."""
    began = time.process_time()
    for at in range(0, len(keys), GROUP):
        done = evaluate(database, keys[at : at + GROUP], lease, now_ms)
        failed = [one for one in done if one.error is not None]
        if failed:
            raise failed[0].error or AssertionError
    return time.process_time() - began


def fill(database: Database, rows: int) -> None:
    """Raw outcomes behind it all, of the first flag."""
    for first in range(0, rows, RAW_AT_ONCE):
        made = [
            Outcome("f0000", "new", CRITICAL_EVENTS[at % 5], "delivered", T0 + at, "a", 1, f"e{at}", 12)
            for at in range(first, min(rows, first + RAW_AT_ONCE))
        ]
        with database.write() as connection:
            outcomes.append(connection, made)


def measure(database: Database, keys: list[str], lease: Lease, first: int, ticks: int) -> list[float]:
    """CPU seconds of so many ticks."""
    found = []
    for number in range(first, first + ticks):
        report(database, keys, number)
        found.append(tick(database, keys, lease, T0 + SLOT_MS * number))
    return found


def told(what: str, seconds: list[float]) -> str:
    """A line of the result."""
    spread = f"min {min(seconds):.2f}, max {max(seconds):.2f} of {len(seconds)}"
    return f"{what}: {median(seconds):.2f} s of CPU a tick ({spread})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=1_000)
    parser.add_argument("--ticks", type=int, default=7)
    parser.add_argument("--raw", type=int, default=0, help="raw outcomes to write between two measurements")
    parser.add_argument("--database-url", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(options.database_url or f"sqlite:///{Path(folder) / 'bench.db'}")
        keys = prepare(database, options.rollouts)
        with database.write() as connection:
            lease = leases.acquire(connection, "bench", leases.now(connection, T0))
        if lease is None:
            raise SystemExit("somebody else holds the lease of this database")
        print(f"{options.rollouts:,} live rollouts, {len(STREAMS)} streams, {len(INSTANCES)} instances")
        before = measure(database, keys, lease, 1, options.ticks)
        print(told("without raw outcomes", before))
        if options.raw:
            fill(database, options.raw)
            after = measure(database, keys, lease, 1 + options.ticks, options.ticks)
            print(told(f"with {options.raw:,} raw outcomes", after))
            print(f"ratio {median(after) / median(before):.2f}")
        with database.read() as connection:
            for table in (analyses, raw_table):
                rows = connection.execute(select(func.count()).select_from(table)).scalar_one()
                print(f"{table.name}: {rows:,} rows")
        database.close()


if __name__ == "__main__":
    main()
