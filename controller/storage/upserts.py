"""INSERT ... ON CONFLICT, which both databases have and SQLAlchemy spells once for each.

Building such a statement costs more than running it, so the ones of the ingest path are built once for each dialect.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, case
from sqlalchemy.dialects import postgresql, sqlite

Insert = postgresql.Insert | sqlite.Insert


def insert(dialect: str, table: Table) -> Insert:
    """An insert into a table that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def larger(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    """The larger of two values that are not null; the databases name that function differently."""
    return case((one > other, one), else_=other)
