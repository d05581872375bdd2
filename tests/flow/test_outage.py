"""A server that fails under a live rollout; `make prove-outage` does it for longer, and fills its disk."""

from __future__ import annotations

from pathlib import Path

from tests.flow.outage import under_outages
from tests.flow.outages import outages
from tests.flow.site import migrated
from tests.postgres import PostgresServer


def test_a_server_restarted_paused_and_cut_off_costs_nothing_acknowledged_and_all_recovers_alone(
    tmp_path: Path,
) -> None:
    with PostgresServer(quick=False, in_memory=True) as server:
        struck = outages(server, None, pause_s=5, cuts=2)
        assert under_outages(migrated(server), tmp_path, struck, bake_s=8).wrong() == []
