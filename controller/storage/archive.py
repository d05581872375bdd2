"""The audit trail's archive: a folder of segments of the chain, each written once, whole, and never touched again.

A segment is a file of JSON lines, as `canary audit export` writes them; its name has the numbers of its first and last
entry and the digest of the last one: `audit-0000000001-0000000420-9f2c....jsonl`. All of them in the order of their
names are the trail.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from controller.domain.chain import Head
from controller.domain.errors import Refusal
from controller.storage import audit

_NAME = re.compile(r"audit-(\d{10})-(\d{10})-([0-9a-f]{64})\.jsonl")


class ArchiveFault(Refusal):
    """The audit trail cannot be archived."""

    code = "archive_fault"
    status = 409


@dataclass(frozen=True, slots=True)
class Archived:
    """How far the archive has come: its last entry, and the age of the first one that is not in it (None: all are)."""

    head: Head
    waits_ms: int | None


def archived(connection: Connection, folder: Path, now_ms: int) -> Archived:
    """How far the archive has come.

    Raises:
        ArchiveFault: chain and archive do not fit together, or the folder cannot be used.
    """
    known = head(folder)
    rows = following(connection, known, 1)
    if not os.access(folder, os.W_OK):
        raise ArchiveFault(f"{folder} cannot be written by this user")
    return Archived(known, max(0, now_ms - rows[0]["at_ms"]) if rows else None)


def following(connection: Connection, known: Head, limit: int) -> list[dict[str, Any]]:
    """Entries of the chain behind the last archived one, which must still be the one that was archived.

    Raises:
        ArchiveFault: it is not.
    """
    if known.seq:
        there = audit.chained(connection, known.seq - 1, 1)
        if not there or there[0]["seq"] != known.seq or there[0]["digest"] != known.digest:
            raise ArchiveFault(
                f"entry {known.seq} of the archive is not the database's: the chain was written anew, the database "
                "comes from an older copy, or the folder is another installation's; keep it, and name a new folder"
            )
    return audit.chained(connection, known.seq, limit)


def head(folder: Path) -> Head:
    """The last entry that is archived; the beginning of the chain for an empty folder.

    Raises:
        ArchiveFault: the folder cannot be read, or a segment is missing.
    """
    found = Head()
    for name in segments(folder):
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        if int(match[1]) != found.seq + 1:
            raise ArchiveFault(f"{folder} lacks what comes before {name[:32]}: bring the segment back")
        found = Head(int(match[2]), match[3])
    return found


def segments(folder: Path) -> list[str]:
    """The names of all segments, in order.

    Raises:
        ArchiveFault: the folder cannot be read.
    """
    try:
        return sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name))
    except OSError as error:
        raise ArchiveFault(f"{folder} cannot be read: {error.strerror}") from None


def add(folder: Path, first: int, last: Head, lines: bytes) -> None:
    """Write a segment: first beside its place, then into it, so that one that is there is there as a whole.

    Two that write the same one at once write the same; one that is there already is left alone.

    Raises:
        ArchiveFault: the folder cannot be written, or its disk is full.
    """
    path = folder / f"audit-{first:010d}-{last.seq:010d}-{last.digest}.jsonl"
    part = folder / f".{path.name}.{os.getpid()}"
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o400)
        if path.exists():
            part.unlink()
        else:
            part.rename(path)
        _settle(folder)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ArchiveFault(f"{folder} cannot be written: {error.strerror}") from None


def _settle(folder: Path) -> None:
    """The name of a new file is on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
