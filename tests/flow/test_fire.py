"""Replicas that are killed one after the other; `python -m tests.flow.fire` does it for longer."""

from __future__ import annotations

from tests.flow.fire import under_fire


def test_replicas_killed_in_turn_lose_nothing_double_nothing_and_end_the_rollout_as_without(postgresql_url, tmp_path):
    assert under_fire(postgresql_url, tmp_path, seconds=8, every_s=2, tail_s=12).faults() == []
