"""The Flask application over each kind of database, and callers with a token of each role."""

from collections.abc import Iterator

import pytest
from flask import Flask

from controller.domain.principals import Role
from controller.storage import snapshots
from controller.storage.database import Database
from controller.storage.writer import IngestWriter
from controller.usecases import tokens
from controller.web.app import create_app
from tests.clocks import FakeClock
from tests.web.callers import Caller, Door


@pytest.fixture
def writer(database: Database, clock: FakeClock) -> Iterator[IngestWriter]:
    """A running ingest writer."""
    writer = IngestWriter(database, clock)
    writer.start()
    yield writer
    writer.stop()


@pytest.fixture
def door(database: Database, clock: FakeClock, writer: IngestWriter) -> Door:
    """What the routes work with; `door.changes` counts how often streams and pages were woken."""
    with database.write() as connection:
        snapshots.publish(connection, clock())
    return Door(database, clock, writer)


@pytest.fixture
def app(door: Door) -> Flask:
    """The application of a server that asks everybody for a token."""
    return create_app(door.services())


@pytest.fixture
def open_app(door: Door) -> Flask:
    """The application of a server on loopback, where reading needs no token."""
    return create_app(door.services(open_reading=True))


@pytest.fixture
def secrets(database: Database, clock: FakeClock) -> dict[Role, str]:
    """A token of each role."""
    made = {role: tokens.create(database, role, f"{role} of the tests", actor="test", now_ms=clock()) for role in Role}
    return {role: new.secret for role, new in made.items()}


@pytest.fixture
def operator(app: Flask, secrets: dict[Role, str]) -> Caller:
    """Somebody who runs rollouts."""
    return Caller(app, secrets[Role.OPERATOR])


@pytest.fixture
def viewer(app: Flask, secrets: dict[Role, str]) -> Caller:
    """Somebody who looks."""
    return Caller(app, secrets[Role.VIEWER])


@pytest.fixture
def admin(app: Flask, secrets: dict[Role, str]) -> Caller:
    """Somebody who may do everything."""
    return Caller(app, secrets[Role.ADMIN])


@pytest.fixture
def sdk(app: Flask, secrets: dict[Role, str]) -> Caller:
    """An application that embeds the client."""
    return Caller(app, secrets[Role.SDK])


@pytest.fixture
def nobody(app: Flask) -> Caller:
    """Somebody without a token."""
    return Caller(app, None)
