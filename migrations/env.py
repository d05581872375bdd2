"""Alembic's door: runs the versions on the connection and in the transaction of controller/storage/schema.py."""

from __future__ import annotations

from alembic import context
from alembic.util import CommandError

from controller.storage.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise CommandError("migrations run through `canary db upgrade`, which serialises them and chooses the database")

# Both databases roll a half-done migration back as a whole; Alembic would not expect that of SQLite by itself.
context.configure(
    connection=connection,
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
