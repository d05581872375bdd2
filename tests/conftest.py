"""Databases for every test that asks for one: fresh, migrated, and of both kinds."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.storage import schema
from controller.storage.database import Database
from tests.clocks import FakeClock
from tests.postgres import PostgresServer

_TEMPLATE = "canary_template"
_names = itertools.count(1)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until `advance` is called."""
    return FakeClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The session's PostgreSQL server; a machine without its binaries fails, and says what to install."""
    with PostgresServer(in_memory=True) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> str:
    """The name of a migrated database to copy."""
    postgres.execute(f"CREATE DATABASE {_TEMPLATE}")
    _migrate(postgres.url(_TEMPLATE))
    return _TEMPLATE


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    path = tmp_path_factory.mktemp("migrated") / "canary.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A fresh, migrated SQLite database."""
    path = tmp_path / "canary.db"
    shutil.copy(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(postgres: PostgresServer, migrated_postgres: str) -> Iterator[str]:
    """A fresh, migrated PostgreSQL database."""
    name = f"canary_{next(_names)}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_postgres}")
    yield postgres.url(name)
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database of each kind in turn, for tests that start processes."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind in turn that nobody has migrated."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"empty_{next(_names)}"
    server.execute(f"CREATE DATABASE {name}")
    yield server.url(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def opened() -> Iterator[Callable[[str], Database]]:
    """Opens databases by URL and closes them after the test."""
    found: list[Database] = []

    def open_database(url: str) -> Database:
        found.append(Database(url))
        return found[-1]

    yield open_database
    for database in found:
        database.close()


@pytest.fixture
def database(database_url: str, opened: Callable[[str], Database]) -> Database:
    """A fresh, migrated database of each kind in turn."""
    return opened(database_url)


@pytest.fixture
def sqlite_database(sqlite_url: str, opened: Callable[[str], Database]) -> Database:
    """A fresh, migrated SQLite database, for what only an embedded one can suffer."""
    return opened(sqlite_url)


@pytest.fixture
def postgresql_database(postgresql_url: str, opened: Callable[[str], Database]) -> Database:
    """A fresh, migrated PostgreSQL database, for what only a server can suffer."""
    return opened(postgresql_url)


def _migrate(url: str) -> None:
    database = Database(url)
    try:
        schema.upgrade(database)
    finally:
        database.close()
