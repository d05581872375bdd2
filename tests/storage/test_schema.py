import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError

import controller
from controller.storage import schema
from controller.storage.database import Database
from controller.storage.tables import counters, installation, leases, metadata, rollouts

UPGRADE = """
import sys
from controller.storage import schema
from controller.storage.database import Database
database = Database(sys.argv[1])
schema.upgrade(database)
database.close()
"""

Opened = Callable[[str], Database]


def installed(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return {row.name: row.value for row in connection.execute(select(installation))}


def set_revision(database: Database, revision: str) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": revision})


def a_live_rollout(key: str, phase: str) -> dict[str, object]:
    numbers = dict.fromkeys(("stage", "weight", "epoch", "version", "created_ms"), 0)
    return {"key": key, "flag_key": "f", "manifest": {}, "phase": phase, **numbers}


def declared(name: str | None, kind: str, parents: dict[str, str | None]) -> bool:
    """Whether the tables should know of it: raw outcomes differ, as SQLite has no days."""
    if kind == "table":
        return not (name or "").startswith("outcomes_")
    own_to_one = {("outcomes", "column", "id"), ("outcomes", "index", "ix_outcomes_at_ms")}
    return (parents.get("table_name"), kind, name) not in own_to_one


def test_the_migrations_lead_to_the_declared_tables(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "target_metadata": metadata,
                "include_name": declared,
            },
        )
        assert compare_metadata(context, metadata) == []
    assert schema.current_revision(database) == schema.head_revision()


@pytest.mark.parametrize("phase", ["progressing", "paused", "rolling_back"])
def test_the_row_refuses_a_second_live_rollout_of_a_flag_but_not_a_second_ended_one(
    database: Database, phase: str
) -> None:
    with database.write() as connection:
        connection.execute(rollouts.insert(), [a_live_rollout("a", phase), a_live_rollout("b", "promoted")])
        connection.execute(rollouts.insert(), [a_live_rollout("c", "draft"), a_live_rollout("d", "promoted")])
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(rollouts.insert(), [a_live_rollout("e", "progressing")])


def test_an_empty_database_goes_up_and_down_again(empty_url: str, opened: Opened) -> None:
    database = opened(empty_url)
    assert schema.current_revision(database) is None
    schema.upgrade(database)
    with database.read() as connection:
        assert connection.execute(select(counters)).all() == [("revision", 0)]
        assert connection.execute(select(leases)).all() == [("leader", "", 0, 0)]
    schema.downgrade(database)
    with database.read() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    schema.upgrade(database)
    assert schema.current_revision(database) == schema.head_revision()


def test_an_installation_is_named_once_and_keeps_its_hash_key(empty_url: str, opened: Opened) -> None:
    database = opened(empty_url)
    schema.upgrade(database, environment="staging")
    first = installed(database)
    schema.upgrade(database, environment="production")
    assert installed(database) == first
    assert first["environment"] == "staging"
    assert len(bytes.fromhex(first["hash_key"])) == 32


def test_a_failing_migration_leaves_nothing_behind(empty_url: str, opened: Opened) -> None:
    database = opened(empty_url)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE windows (name TEXT)"))  # the last table that the migration creates
    with pytest.raises(Exception, match="already exists"):
        schema.upgrade(database)
    with database.read() as connection:
        assert inspect(connection).get_table_names() == ["windows"]


def test_upgrades_that_race_are_done_one_by_one(empty_url: str, opened: Opened) -> None:
    command = [sys.executable, "-c", UPGRADE, empty_url]
    root = Path(controller.__file__).parents[1]
    running = [
        subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(4)
    ]
    said = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 4, said
    assert schema.current_revision(opened(empty_url)) == schema.head_revision()


def test_a_server_migrates_an_embedded_database_by_itself(tmp_path: Path, opened: Opened) -> None:
    database = opened(f"sqlite:///{tmp_path / 'new.db'}")
    schema.ensure(database, environment="laptop")
    assert schema.current_revision(database) == schema.head_revision()
    assert installed(database)["environment"] == "laptop"


def test_a_server_refuses_an_empty_postgresql_and_says_what_to_run(postgresql_database: Database) -> None:
    schema.downgrade(postgresql_database)
    with pytest.raises(schema.SchemaTooOld, match="run `canary db upgrade`"):
        schema.ensure(postgresql_database)
    assert schema.current_revision(postgresql_database) is None


def test_a_server_leaves_a_newer_releases_schema_alone(database: Database) -> None:
    set_revision(database, "9999")
    schema.ensure(database)
    assert schema.current_revision(database) == "9999"


def test_an_installed_wheel_finds_its_migrations_inside_itself(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "controller"
    package.mkdir()
    (package / "_migrations").symlink_to(Path(controller.__file__).parents[1] / "migrations")
    monkeypatch.setattr(schema, "_PACKAGE", package)
    database = opened(f"sqlite:///{tmp_path / '50%.db'}")
    schema.upgrade(database)
    assert schema.current_revision(database) == schema.head_revision()
