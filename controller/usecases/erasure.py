"""Erasing what is stored of single users of the measured applications, by their pseudonyms."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from controller.domain.samples import SHORT_TAG, TAG_LENGTH
from controller.storage import partitions, record, retention
from controller.storage.database import Database


@dataclass(frozen=True, slots=True)
class Erased:
    """Rows deleted: raw outcomes, places in the samples of distinct users, gauges of active users."""

    raw: int
    samples: int
    gauges: int


def erase(
    database: Database,
    pseudonyms: Collection[str],
    *,
    actor: str,
    now_ms: int,
    reason: str = "",
    request_id: str = "",
) -> Erased:
    """Delete raw outcomes, samples and gauges of users; counts, windows and the ledger name nobody and stay.

    `pseudonyms` are keyed hashes as clients make them, 32 hexadecimal characters each. The audit entry says how many
    rows went and not whose: an entry with a pseudonym would keep what it erases.

    Raises:
        Unavailable: the database does not answer; saying it again goes on where it stopped.
    """
    with database.read() as connection:
        names = partitions.tables(connection)
    raw = 0
    for name in names:  # a transaction for each day: no lock is held over all of them
        with database.write() as connection:
            raw += sum(retention.delete_of_user(connection, name, user) for user in pseudonyms)
    with database.write() as connection:
        samples = sum(retention.delete_tag(connection, user[:TAG_LENGTH]) for user in pseudonyms)
        gauges = sum(retention.delete_active(connection, user[:SHORT_TAG]) for user in pseudonyms)
        found = Erased(raw, samples, gauges)
        record.note(
            connection,
            actor=actor,
            action="users.erased",
            subject="installation",
            reason=reason,
            at_ms=now_ms,
            after={"pseudonyms": len(pseudonyms), "raw": raw, "samples": samples, "gauges": gauges},
            request_id=request_id,
        )
    return found
