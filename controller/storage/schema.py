"""The schema's life: migrations up and down, and the check that a server makes before it starts."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

import controller
from controller.domain.errors import Refusal
from controller.storage import upserts
from controller.storage.database import Database
from controller.storage.tables import installation

#: The oldest revision that this release works on. From here on every revision only adds for whoever uses the schema,
#: so that releases can be rolled out one by one: a release works on its MINIMUM and on all that comes after it, and the
#: one before it works on what it brings (tests/storage/test_rolling.py). The promise does not reach further back: those
#: before it were never released, and 0002 drops and renames columns of 0001.
MINIMUM = "0004"

_PACKAGE = Path(controller.__file__).parent
#: The key of the advisory lock that keeps concurrent upgrades apart; any constant would do.
_UPGRADE_LOCK = 0x63616E617279
#: How long an upgrade waits for another one, and then for each table.
_WAIT_FOR_UPGRADE, _WAIT_FOR_TABLE = "60s", "5s"
#: A migration may take its time; nobody waits behind it but other migrations.
_LONGEST_S = 86_400.0
#: Alembic keeps its context in a global.
_one_at_a_time = threading.Lock()


class SchemaTooOld(Refusal):
    """The database's schema is older than this release needs."""

    code = "schema_too_old"
    status = 503


def upgrade(database: Database, revision: str = "head", *, environment: str = "default") -> None:
    """Migrate up in one transaction; the first time, also name the environment and make the installation's hash key.

    Processes that upgrade at the same time wait for each other; all but the first find nothing to do.

    Raises:
        Unavailable: the database cannot be reached, or another upgrade or a long transaction does not end.
    """
    _migrate(database, lambda config: command.upgrade(config, revision), environment)


def downgrade(database: Database, revision: str = "base") -> None:
    """Migrate down in one transaction; what the newer tables and columns held is lost."""
    _migrate(database, lambda config: command.downgrade(config, revision), None)


def current_revision(database: Database) -> str | None:
    """The revision that the database is at; None when it is empty."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str:
    """The newest revision that this release knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def is_known(revision: str | None) -> bool:
    """Whether this release brings this revision; one that it does not bring belongs to a newer release."""
    return revision in _newest_first()


def works_on(revision: str | None) -> bool:
    """Whether this release works on a schema: on MINIMUM and all that came after it, known or not."""
    known = _newest_first()
    return revision is not None and (revision not in known or known.index(revision) <= known.index(MINIMUM))


def ensure(database: Database, *, environment: str = "default") -> None:
    """What a server does before it starts: migrates an embedded database, checks a PostgreSQL one.

    A revision that this release does not know belongs to a newer one, and newer ones only add: it is left alone.

    Raises:
        SchemaTooOld: the PostgreSQL schema is older than MINIMUM; it is migrated on purpose only.
    """
    current = current_revision(database)
    if current is not None and (current == head_revision() or not is_known(current)):
        return
    if database.embedded:
        upgrade(database, environment=environment)
    elif not works_on(current):
        raise SchemaTooOld(
            f"the schema is at revision {current or 'none (empty)'}, this release needs {MINIMUM} or newer: "
            "run `canary db upgrade` once, then start again"
        )


def _newest_first() -> list[str]:
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def _migrate(database: Database, step: Callable[[Config], None], environment: str | None) -> None:
    with _one_at_a_time, database.write(_LONGEST_S) as connection:
        if not database.embedded:
            _wait_for_other_upgrades(connection)
        step(_config(connection))
        if environment is not None:
            _name_installation(connection, environment)


def _wait_for_other_upgrades(connection: Connection) -> None:
    connection.execute(text(f"SET LOCAL lock_timeout = '{_WAIT_FOR_UPGRADE}'"))
    for timeout in ("statement_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(text(f"SET LOCAL {timeout} = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
    # A migration that queued for a busy table would stop all traffic behind it.
    connection.execute(text(f"SET LOCAL lock_timeout = '{_WAIT_FOR_TABLE}'"))


def _name_installation(connection: Connection, environment: str) -> None:
    rows = [{"name": "environment", "value": environment}, {"name": "hash_key", "value": secrets.token_hex(32)}]
    connection.execute(upserts.insert(connection.dialect.name, installation).on_conflict_do_nothing(), rows)


def _config(connection: Connection | None = None) -> Config:
    packed = _PACKAGE / "_migrations"  # in an installed wheel
    scripts = packed if packed.is_dir() else _PACKAGE.parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
