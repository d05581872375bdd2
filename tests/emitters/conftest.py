from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from openfeature import api

from tests.emitters.flags import ClientFor, client_of
from tests.emitters.sockets import Backend, running_backend


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend() as running:
        yield running


@pytest.fixture
def client_for() -> Iterator[ClientFor]:
    """Makes OpenFeature clients, and forgets all providers and handlers at the end."""
    yield client_of
    api.clear_providers()
