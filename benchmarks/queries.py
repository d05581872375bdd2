"""Every statement of the shipped code on PostgreSQL, and the plan that the server chooses for it: docs/queries.md.

    python -m benchmarks.queries > docs/queries.md

A day at 1,000 events a second is generated (benchmarks/ten_days.py), then ingest, tick, pages and sweep run once each;
what they send to the database is explained with the values that they sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from psycopg.errors import Error
from sqlalchemy import event, text

from benchmarks.ten_days import World
from controller.storage import schema
from controller.storage.database import Database
from controller.usecases import retention as keeping
from tests.postgres import PostgresServer
from tests.storage.builders import a_full_batch, write

_HEAD = """# Queries and their plans

Made by `python -m benchmarks.queries > docs/queries.md` on PostgreSQL {version}, after a day at 1,000 events a second
(one raw row in {sample} kept). Each statement that the shipped code sends is explained with the values that it sent. A
sequential scan is right where a table has a few rows (flags, leases, counters, the live rollouts) or where everything
is wanted; the large tables (`outcomes`, `windows`, `ledger`, `analyses`, `batches`) are reached by an index or a
partition, with the exceptions that the last section names: deletes of the sweep stop at their LIMIT, and go through the
table itself where most of it is to go or it is small; so is the table of a day that has just begun. Latencies are read
from the end of a day's table (`ctid`), where the newest lie.
"""
_LARGE = ("outcomes", "windows", "ledger", "analyses", "batches")
_SAMPLE = 200
_LONGEST = 150


class Heard:
    """The statements that an engine was given, the first of each form with its values, by what was being done."""

    def __init__(self, database: Database) -> None:
        self.doing = ""
        self.found: dict[str, tuple[str, Any]] = {}
        event.listen(database.engine, "before_cursor_execute", self._hear)

    def _hear(self, _connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool) -> None:
        kind = statement.split(maxsplit=1)[0].upper()
        if self.doing and kind in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}:
            form = re.sub(r"\s+", " ", re.sub(r"%\(\w+?_\d+(?:_\d+)*\)s(?:::\w+)?(?:, )?", "?", statement))
            form = re.sub(r"\d{8,}", "N", form)  # days are named in their tables
            self.found.setdefault(f"{self.doing}\n{form}", (statement, values[0] if many and values else values))


def scans(plan: Mapping[str, Any]) -> Iterator[str]:
    """How each table of a plan is reached."""
    table, index = plan.get("Relation Name"), plan.get("Index Name")
    if table or index:
        yield plan["Node Type"] + (f" of {table}" if table else "") + (f" by {index}" if index else "")
    for child in plan.get("Plans", ()):
        yield from scans(child)


def explained(database: Database, statement: str, values: Any) -> list[str]:
    """The scans of a statement's plan; nothing is executed."""
    with database.engine.connect() as connection, connection.begin() as outer:
        cursor = connection.connection.cursor()
        try:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", values)
            row = cursor.fetchone()
        except Error as error:
            return [f"not explained: {str(error).splitlines()[0]}"]
        finally:
            outer.rollback()
    document = row[0] if row else "[]"
    plans = json.loads(document) if isinstance(document, str) else document
    by_day = [re.sub(r"outcomes_d\d{8}", "outcomes_dDAY", scan) for one in plans for scan in scans(one["Plan"])]
    return list(dict.fromkeys(re.sub(r"_at_ms_idx\d*|_flag_key_at_ms_idx\d*", "_idx", scan) for scan in by_day))


def main() -> None:
    """Print the page."""
    with PostgresServer() as server:
        server.execute("CREATE DATABASE canary")
        database = Database(server.url("canary"))
        schema.upgrade(database)
        world = World(database, per_s=1_000, sample=_SAMPLE, looks=1)
        world.live_a_day(1)
        key = world.begin("day-02")
        heard = Heard(database)
        client = world.app.test_client()
        doing: dict[str, Callable[[], object]] = {
            "Ingest": lambda: write(database, a_full_batch(1)),
            "Tick": lambda: world.judge(key),
            "Pages": lambda: [client.get(path) for path in ("/", f"/rollouts/{key.key}", "/fragments/overview")],
            "Clients": lambda: [client.get(path) for path in ("/readyz", "/metrics", "/api/v1/instances")],
            "API": lambda: [
                client.get(f"/api/v1/rollouts/{key.key}{part}")
                for part in ("", "/series", "/decisions", "/analyses", "/ledger", "/explain", "/impact")
            ],
            "Sweep": lambda: keeping.sweep(database, world.clock() + 10 * 86_400_000),
        }
        for name, act in doing.items():
            heard.doing = name
            act()
        heard.doing = ""
        show(database, heard)
        database.close()


def show(database: Database, heard: Heard) -> None:
    """Everything that was heard, by what was being done, and the large tables that are read as a whole."""
    with database.read() as connection:
        version = connection.execute(text("SHOW server_version")).scalar_one().split()[0]
    print(_HEAD.format(version=version, sample=_SAMPLE))
    whole: list[str] = []
    shown = ""
    for key, (statement, values) in heard.found.items():
        doing, _, form = key.partition("\n")
        if doing != shown:
            print(f"\n## {doing}\n\n| statement | plan |\n|---|---|")
            shown = doing
        found = explained(database, statement, values)
        cut = form if len(form) <= _LONGEST else form[:_LONGEST] + " ..."
        print(f"| `{cut.replace('|', chr(92) + '|')}` | {'; '.join(found) or 'no table is read'} |")
        whole += [f"{doing}: {one}: `{cut}`" for one in found if _reads_all(one)]
    print("\n## Large tables read as a whole\n")
    print("\n".join(f"- {one}" for one in whole) if whole else "None.")


def _reads_all(scan: str) -> bool:
    return any(re.match(rf"Seq Scan of {name}(_d|$)", scan) for name in _LARGE)


if __name__ == "__main__":
    main()
