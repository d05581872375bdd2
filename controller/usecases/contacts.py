"""Clients that were here without a report: they fetched a snapshot, or hold a stream."""

from __future__ import annotations

from collections.abc import Sequence

from controller.domain.instances import Contact
from controller.storage import instances
from controller.storage.database import Database


def note(database: Database, contacts: Sequence[Contact]) -> None:
    """Remember that these instances made contact.

    `reports` is False for an evaluator that cannot confirm anything; only of such a one the fetched revision is
    believed.
    """
    with database.write() as connection:
        instances.keep_contacts(connection, contacts)
