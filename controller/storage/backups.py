"""Copies of the whole database, taken while it is in use, and put back into an empty one."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, inspect, update

from controller.domain.errors import Refusal
from controller.settings import child_environment
from controller.storage import schema, snapshots
from controller.storage.database import Database, conninfo_of
from controller.storage.tables import counters

#: Clients refuse a revision older than theirs, and a restored database knows nothing of those after the copy.
_REVISIONS_AHEAD = 1_000_000
_NAMES = {"dbname": "PGDATABASE"}


class CannotCopy(Refusal):
    """The copy cannot be made or put back."""

    code = "cannot_copy"
    status = 409


def back_up(database: Database, file: Path, *, raw: bool = True) -> None:
    """Write a consistent copy of everything into a new file: SQLite's own form, or pg_dump's custom one.

    Without `raw` outcomes (PostgreSQL) the copy is small, and nothing that judges or replays misses them.

    Raises:
        CannotCopy: the file is there already, or pg_dump is missing or fails; its words are in it.
    """
    if file.exists():
        raise CannotCopy(f"{file} exists already; name a new file")
    unfinished = file.with_name(f".{file.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)  # it holds the tokens' hashes and the installation's key
    try:
        if database.embedded:
            _copy_file(Path(database.url.database or ""), unfinished)
        else:
            left_out = [] if raw else ["--exclude-table-data=outcomes*"]
            _run(database, "pg_dump", "--format=custom", *left_out, f"--file={unfinished}")
        with unfinished.open("rb") as made:
            os.fsync(made.fileno())
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def restore(database: Database, file: Path, now_ms: int) -> int:
    """Put a copy into an empty database, and publish a snapshot that clients take although they know newer ones.

    Returns:
        the new revision.

    Raises:
        CannotCopy: there is no such file, the database is not empty, pg_restore is missing or fails, or the copy's
        schema is one that this release does not work on.
    """
    if not file.is_file():
        raise CannotCopy(f"{file} is not there")
    with database.read() as connection:
        if inspect(connection).get_table_names():
            raise CannotCopy("the database is not empty; create a new one and name it with --database-url")
    if database.embedded:
        database.close()
        _copy_file(file, Path(database.url.database or ""))
    else:
        _run(database, "pg_restore", "--exit-on-error", "--single-transaction", "--dbname=", str(file))
    found = schema.current_revision(database)
    if not schema.works_on(found):
        raise CannotCopy(f"the copy has the schema {found or 'none'}, and this release needs {schema.MINIMUM} or newer")
    with database.write() as connection:
        return _go_ahead(connection, now_ms)


def _go_ahead(connection: Connection, now_ms: int) -> int:
    ahead = counters.c.value + _REVISIONS_AHEAD
    connection.execute(update(counters).where(counters.c.name == "revision").values(value=ahead))
    return snapshots.publish(connection, now_ms)


def _copy_file(source: Path, target: Path) -> None:
    """SQLite's online copy: consistent although others write meanwhile."""
    try:
        with (
            contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old,
            contextlib.closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new)
    except sqlite3.Error as error:
        raise CannotCopy(f"{source} cannot be copied: {error}") from error


def _run(database: Database, program: str, *arguments: str) -> None:
    """One of PostgreSQL's programs, told where the database is by its environment: others can read command lines."""
    where = shutil.which(program)
    if where is None:
        raise CannotCopy(f"{program} is not on the PATH; install PostgreSQL's client programs of the server's version")
    told = conninfo_to_dict(conninfo_of(database.url))
    named = {_NAMES.get(name, f"PG{name.upper()}"): str(value) for name, value in told.items() if value is not None}
    command = [where, "--no-owner", "--no-privileges", "--no-password", *arguments]
    done = subprocess.run(  # noqa: S603 - a program of PostgreSQL's, and no shell
        command, env=child_environment(**named), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotCopy(f"{program}: {done.stderr.strip()[-2000:]}")
