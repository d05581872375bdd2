"""A server that fails under a live rollout; `make prove-outage` does it for longer, and fills its disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.outage import under_outages
from tests.flow.outages import outages
from tests.flow.site import migrated
from tests.postgres import PostgresServer


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server to be spoilt, which keeps what it has acknowledged."""
    with PostgresServer(quick=False, in_memory=True) as server:
        yield server


def test_a_server_restarted_paused_and_cut_off_costs_nothing_acknowledged_and_all_recovers_alone(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    struck = outages(own_server, None, pause_s=5, cuts=2)
    assert under_outages(migrated(own_server), tmp_path, struck, bake_s=8).wrong() == []
