"""People, sessions, scopes and expiry of tokens, freezes, schedules, idempotency keys, and the audit trail as a chain.

Revision 0004. It only adds, and asks for nothing, so that the release before it goes on working: entries that one
writes are taken into the chain by the next change that this release makes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = (
    "schedule_runs",
    "schedules",
    "freezes",
    "idempotency",
    "sign_in_failures",
    "invitations",
    "sessions",
    "people",
)
_GENESIS = "0" * 64


def upgrade() -> None:
    op.add_column("tokens", sa.Column("expires_ms", sa.BigInteger(), nullable=True))
    op.add_column("tokens", sa.Column("flags", sa.JSON(), nullable=True))
    op.add_column("tokens", sa.Column("created_by", sa.String(128), nullable=False, server_default=sa.text("''")))
    _people()
    _calendar()
    _chain()


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER audit_append_only ON audit")
        op.execute("DROP FUNCTION canary_audit_append_only")
    else:
        op.execute("DROP TRIGGER audit_no_update")
        op.execute("DROP TRIGGER audit_no_delete")
    op.drop_index("ix_audit_unchained", "audit")
    op.drop_index("uq_audit_seq", "audit")
    op.execute("DELETE FROM installation WHERE name = 'audit_head'")
    columns = (("audit", ("digest", "previous", "seq")), ("tokens", ("created_by", "flags", "expires_ms")))
    for table, names in columns:
        with op.batch_alter_table(table) as batch:
            for name in names:
                batch.drop_column(name)
    for table in _TABLES:
        op.drop_table(table)


def _people() -> None:
    op.create_table(
        "people",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False, server_default="1"),
        sa.Column("password", sa.String(300), nullable=True),
        sa.Column("subject", sa.String(400), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=True),
        sa.UniqueConstraint("subject", name="uq_people_subject"),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("person", sa.String(128), nullable=False),
        sa.Column("via", sa.String(16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_sessions_person", "sessions", ["person"])
    op.create_index("ix_sessions_expires_ms", "sessions", ["expires_ms"])
    op.create_table(
        "invitations",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("person", sa.String(128), nullable=False, server_default=sa.text("''")),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_invitations_person", "invitations", ["person"])
    op.create_table(
        "sign_in_failures",
        sa.Column("subject", sa.String(64), primary_key=True),
        sa.Column("failures", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_sign_in_failures_since_ms", "sign_in_failures", ["since_ms"])
    op.create_table(
        "idempotency",
        sa.Column("principal", sa.String(160), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("principal", "key"),
    )
    op.create_index("ix_idempotency_at_ms", "idempotency", ["at_ms"])


def _calendar() -> None:
    op.create_table(
        "freezes",
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=True),
        sa.Column("entering", sa.String(16), nullable=False),
        sa.Column("starts_ms", sa.BigInteger(), nullable=True),
        sa.Column("ends_ms", sa.BigInteger(), nullable=True),
        sa.Column("cron", sa.String(100), nullable=False, server_default=sa.text("''")),
        sa.Column("lasts_ms", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("zone", sa.String(100), nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
    )
    identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "schedules",
        sa.Column("id", identity, primary_key=True, autoincrement=True),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("value", sa.String(128), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=True),
        sa.Column("cron", sa.String(100), nullable=False, server_default=sa.text("''")),
        sa.Column("zone", sa.String(100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_schedules_next_ms", "schedules", ["next_ms"])
    op.create_table(
        "schedule_runs",
        sa.Column("schedule", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("schedule", "due_ms"),
    )


def _chain() -> None:
    op.add_column("audit", sa.Column("seq", sa.BigInteger(), nullable=True))
    op.add_column("audit", sa.Column("previous", sa.String(64), nullable=True))
    op.add_column("audit", sa.Column("digest", sa.String(64), nullable=True))
    op.create_index("uq_audit_seq", "audit", ["seq"], unique=True)
    unchained = sa.text("digest IS NULL")
    op.create_index("ix_audit_unchained", "audit", ["id"], sqlite_where=unchained, postgresql_where=unchained)
    installation = sa.table("installation", sa.column("name", sa.String), sa.column("value", sa.Text))
    op.execute(installation.insert().values(name="audit_head", value=f"0:{_GENESIS}"))
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION canary_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
            "BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit FOR EACH ROW "
            "WHEN (OLD.digest IS NOT NULL) EXECUTE FUNCTION canary_audit_append_only()"
        )
        return
    for name, when in (("update", "UPDATE"), ("delete", "DELETE")):
        op.execute(
            f"CREATE TRIGGER audit_no_{name} BEFORE {when} ON audit WHEN OLD.digest IS NOT NULL "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        )
