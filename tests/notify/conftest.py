"""Channels with somebody at their other end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controller.storage.vault import Vault
from tests.notify.receivers import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A web server that takes notices."""
    with receiving() as found:
        yield found


@pytest.fixture
def vault() -> Vault:
    """A vault with a key."""
    return Vault(("a key that is long enough for these tests",))
