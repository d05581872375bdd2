from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.emitters.sockets import Backend, running_backend


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend() as running:
        yield running
