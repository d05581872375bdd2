"""How long things are kept, and what has been deleted because of it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, Table

from controller.storage.tables.base import Key, metadata, ms

# One row for each flag that says something of its own, and one for every flag (`*`); what is null is inherited.
retention_policies = Table(
    "retention_policies",
    metadata,
    Column("flag_key", Key, primary_key=True),
    *(ms(f"{name}_ms", nullable=True) for name in ("raw", "ledger", "analyses", "windows")),
    Column("one_in", Integer),
    Column("version", BigInteger, nullable=False),
    ms("updated_ms"),
)


# Up to which slot the ledger of a rollout is gone, so that a replay can say so.
ledger_purges = Table(
    "ledger_purges",
    metadata,
    Column("rollout", Key, primary_key=True),
    Column("through_seq", BigInteger, nullable=False),
    ms("at_ms"),
)
