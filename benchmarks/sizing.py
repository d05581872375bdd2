"""What a rate of events asks for: disk and CPU by events a second, from measured rows and the ingest benchmark's CPU.

    python -m benchmarks.sizing [--server-us 4.0] [--database-us 3.1]

A day is generated and swept as in benchmarks/ten_days.py, and each table's size is taken from PostgreSQL, indexes
included. The CPU of a row is an argument: benchmarks/ingest.py measures it on your machine.
"""

from __future__ import annotations

import argparse

from sqlalchemy import text

from benchmarks.ten_days import World
from controller.storage import schema
from controller.storage.database import Database
from tests.postgres import PostgresServer

_SIZE = """
SELECT sum(pg_total_relation_size(c.oid)), (SELECT count(*) FROM {0}) FROM pg_class c
WHERE c.relkind = 'r' AND (c.relname = '{0}' OR c.relname LIKE '{0}\\_d%')
"""
_RATES = (10, 100, 1_000, 10_000)
_FAILED = 0.01


def bytes_of_rows(database: Database) -> dict[str, tuple[float, int]]:
    """By table: bytes of a row with its share of the indexes, and how many rows there are."""
    found: dict[str, tuple[float, int]] = {}
    with database.read() as connection:
        for table in ("outcomes", "windows", "ledger", "analyses"):
            size, rows = connection.execute(text(_SIZE.format(table))).one()
            found[table] = (float(size) / rows, int(rows))
    return found


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server-us", type=float, default=4.0, help="CPU microseconds of the controller for an event")
    parser.add_argument("--database-us", type=float, default=3.1, help="the same of PostgreSQL")
    arguments = parser.parse_args()
    with PostgresServer() as server:
        server.execute("CREATE DATABASE canary")
        database = Database(server.url("canary"))
        schema.upgrade(database)
        World(database, per_s=1_000, sample=100, looks=1).live_a_day(1)
        found = bytes_of_rows(database)
        database.close()
    print("| table | bytes of a row, with indexes | rows a day of one live rollout (5 events, 2 arms) |\n|---|---|---|")
    for name, (size, rows) in found.items():
        count = "as many as are stored" if name == "outcomes" else f"{rows:,}"
        print(f"| {name} | {size:,.0f} | {count} |")
    fixed_gb = sum(size * rows for name, (size, rows) in found.items() if name != "outcomes") / 1e9
    print(
        "\n| events/s | GB/day, `detail: all` | `sample:100` | `failures` (1 % fail) | cores, controller | PostgreSQL |"
    )
    print("|---|---|---|---|---|---|")
    for rate in _RATES:
        raw_gb = rate * 86_400 * found["outcomes"][0] / 1e9
        shares = (1.0, _FAILED + (1 - _FAILED) / 100, _FAILED)
        sizes = " | ".join(f"{fixed_gb + raw_gb * share:,.2f}" for share in shares)
        cores = " | ".join(f"{rate * us / 1e6:.4f}" for us in (arguments.server_us, arguments.database_us))
        print(f"| {rate:,} | {sizes} | {cores} |")


if __name__ == "__main__":
    main()
