"""Archiving the audit trail: the chain goes into a folder, whole and checked, and no entry ever leaves the database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from controller.domain.chain import ChainCheck
from controller.storage import archive
from controller.storage.archive import ArchiveFault
from controller.storage.database import Database
from controller.wire.api.people import AuditView
from controller.wire.codec import encode

#: Entries of one segment at most; so many that wait do not wait for the time.
MOST = 5_000
#: An entry waits so long for others before a segment is written.
WAIT_MS = 3_600_000


def archive_trail(
    database: Database, folder: Path, now_ms: int, *, all_of_it: bool = False, go_on: Callable[[], bool] = lambda: True
) -> int:
    """Write what is due into segments; `all_of_it` waits for nothing. Returns how many entries were written.

    Raises:
        ArchiveFault: chain and archive do not fit together, or the folder cannot be used; nothing wrong is written.
    """
    written = 0
    while go_on():
        before = archive.head(folder)
        with database.read() as connection:
            rows = archive.following(connection, before, MOST)
        if not rows or not (all_of_it or len(rows) == MOST or now_ms - rows[0]["at_ms"] >= WAIT_MS):
            break
        check = ChainCheck(head=before)
        if not check.follow(rows):
            raise ArchiveFault(f"the chain is not as it was written: {check.fault}")
        archive.add(folder, before.seq + 1, check.head, b"".join(encode(AuditView(**row)) + b"\n" for row in rows))
        written += len(rows)
    return written
