"""Writers that are stopped after the test, and threads that stand for requests."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from controller.storage.database import Database
from controller.storage.writer import IngestWriter
from tests.clocks import FakeClock
from tests.storage.gates import MakeWriter


@pytest.fixture
def make_writer(clock: FakeClock) -> Iterator[MakeWriter]:
    """Starts writers, and stops them after the test."""
    started: list[IngestWriter] = []

    def make(database: Database, **options: object) -> IngestWriter:
        writer = IngestWriter(database, clock, **options)
        writer.start()
        started.append(writer)
        return writer

    yield make
    for writer in started:
        writer.stop()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that stand for requests."""
    with ThreadPoolExecutor(32) as threads:
        yield threads
