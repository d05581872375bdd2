"""The bare limit of a database: one client, and transactions of nothing but a batch id, rows, and counters.

The same shapes for both databases: batch ids with a key, rows with a number of their own and no further index, and
counters of ten seconds by flag, variant and event. A transaction holds 5,000 rows and touches at most 80 counters.
"""

from __future__ import annotations

import random
import sqlite3
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

BATCH = 5_000
_COLUMNS = ("batch_id", "seq", "ts", "env", "flag", "variant", "event_type", "subject", "value", "sdk")
_TYPES = ["uuid", "int4", "timestamptz", "text", "text", "text", "text", "text", "float8", "text"]
_TABLES = """
create table ev(id bigint generated always as identity primary key, batch_id uuid not null, seq int not null,
  ts timestamptz not null, env text not null, flag text not null, variant text not null, event_type text not null,
  subject text not null, value float8, sdk text);
create table ctr(w bigint, env text, flag text, variant text, event_type text, n bigint not null, s float8 not null,
  primary key(flag, env, variant, event_type, w));
create table bat(batch_id uuid primary key, at timestamptz default now(), n int)
"""
_UPSERT = (
    "insert into ctr(w, env, flag, variant, event_type, n, s) select * from unnest(%s::bigint[], %s::text[], "
    "%s::text[], %s::text[], %s::text[], %s::bigint[], %s::float8[]) "
    "on conflict(flag, env, variant, event_type, w) do update set n = ctr.n + excluded.n, s = ctr.s + excluded.s"
)
_LITE_TABLES = (
    (
        "create table ev(id integer primary key, batch_id text not null, seq int not null, ts real not null, env text "
        "not null, flag text not null, variant text not null, event_type text not null, subject text not null, "
        "value real, sdk text)"
    ),
    (
        "create table ctr(w int, env text, flag text, variant text, event_type text, n int not null, s real not null, "
        "primary key(flag, env, variant, event_type, w)) without rowid"
    ),
    "create table bat(batch_id text primary key, at real, n int)",
)
_LITE_UPSERT = "insert into ctr values(?,?,?,?,?,?,?) on conflict do update set n = n + excluded.n, s = s + excluded.s"

Row = tuple[object, ...]


@dataclass(frozen=True)
class Bare:
    """Rows a second, and the CPU of this client."""

    rows: int
    seconds: float
    client_cpu_s: float


def some_rows(chance: random.Random) -> list[Row]:
    """Rows of five flags over ten seconds."""
    base = datetime(2026, 11, 1, tzinfo=UTC)
    kinds = ("exposure", "delivered", "error", "latency")
    return [
        (
            at,
            base + timedelta(milliseconds=chance.randrange(10_000)),
            "prod",
            f"checkout-flow-{chance.randrange(5)}",
            chance.choice(("stable", "canary")),
            chance.choice(kinds),
            f"u{chance.getrandbits(60):015x}",
            chance.random() * 250,
            "python/1.4.2",
        )
        for at in range(BATCH)
    ]


def counters(rows: list[Row]) -> list[Row]:
    """What the rows add up to."""
    found: dict[tuple[object, ...], list[float]] = {}
    for _, at, env, flag, variant, kind, _, value, _ in rows:
        assert isinstance(at, datetime)
        assert isinstance(value, float)
        total = found.setdefault((int(at.timestamp()) // 10 * 10, env, flag, variant, kind), [0, 0.0])
        total[0] += 1
        total[1] += value
    return [(*key, *found[key]) for key in sorted(found, key=str)]


def on_postgresql(url: str, seconds: float) -> Bare:
    """COPY in binary."""
    rows = some_rows(random.Random(1))
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(_TABLES.encode())
        connection.commit()
        began, cpu, count = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began < seconds:
            batch = uuid.uuid4()
            cursor.execute("insert into bat(batch_id, n) values(%s, %s)", (batch, len(rows)))
            with cursor.copy(f"copy ev({', '.join(_COLUMNS)}) from stdin (format binary)".encode()) as copy:
                copy.set_types(_TYPES)
                for row in rows:
                    copy.write_row((batch, *row))
            cursor.execute(_UPSERT, [list(column) for column in zip(*counters(rows), strict=True)])
            connection.commit()
            count += len(rows)
        return Bare(count, time.perf_counter() - began, time.process_time() - cpu)


def on_sqlite(path: Path, seconds: float) -> Bare:
    """executemany, in the same mode as the controller's: a write-ahead log, and every commit waits for the disk."""
    rows = some_rows(random.Random(1))
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("pragma journal_mode=wal", "pragma synchronous=full", *_LITE_TABLES):
        connection.execute(statement)
    insert = f"insert into ev({', '.join(_COLUMNS)}) values({', '.join('?' * len(_COLUMNS))})"
    began, cpu, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        batch = str(uuid.uuid4())
        connection.execute("begin immediate")
        connection.execute("insert into bat values(?, ?, ?)", (batch, 0, len(rows)))
        connection.executemany(insert, [(batch, row[0], row[1].timestamp(), *row[2:]) for row in rows])  # type: ignore[attr-defined]
        connection.executemany(_LITE_UPSERT, counters(rows))
        connection.execute("commit")
        count += len(rows)
    found = Bare(count, time.perf_counter() - began, time.process_time() - cpu)
    connection.close()
    return found
