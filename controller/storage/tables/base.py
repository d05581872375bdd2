"""What all tables are made of."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    String,
)

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)


Big = BigInteger().with_variant(Integer, "sqlite")


Key = String(128)


def ms(name: str, *, nullable: bool = False) -> Column[int]:
    """A moment or a stretch of time in milliseconds."""
    return Column(name, BigInteger, nullable=nullable)


def count(name: str) -> Column[int]:
    """A number that begins at zero."""
    return Column(name, BigInteger, nullable=False, server_default="0")
