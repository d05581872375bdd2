"""Targeting of flags, segments, and what instances say of their clocks and breakers.

Revision 0003. It only adds, and asks for nothing, so that the release before it goes on working.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("flags", sa.Column("targeting", sa.JSON(), nullable=True))
    op.create_table(
        "segments",
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("condition", sa.JSON(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
    )
    op.add_column("instances", sa.Column("clock_offset_ms", sa.BigInteger(), nullable=True))
    op.add_column("instances", sa.Column("trips", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    for table, column in (("instances", "trips"), ("instances", "clock_offset_ms"), ("flags", "targeting")):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column)
    op.drop_table("segments")
