from __future__ import annotations

import logging

import pytest

from controller.emitters.sweeper import Sweeper
from tests.emitters.sockets import eventually


async def test_it_ends_by_itself_when_nobody_has_work_and_starts_again_when_needed() -> None:
    rounds: list[float] = []

    def sweep(now: float) -> bool:
        rounds.append(now)
        return len(rounds) < 3

    sweeper = Sweeper(0.001)
    sweeper.add(sweep)
    sweeper.ensure_running()
    await eventually(lambda: not sweeper.running)
    assert len(rounds) == 3
    sweeper.ensure_running()
    await eventually(lambda: len(rounds) == 4)
    await sweeper.aclose()
    assert not sweeper.running


async def test_one_sweep_that_raises_does_not_keep_the_others_from_their_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rounds: list[float] = []

    def broken(_now: float) -> bool:
        raise RuntimeError("broken")

    def sweep(now: float) -> bool:
        rounds.append(now)
        return False

    sweeper = Sweeper(0.001)
    sweeper.add(broken)
    sweeper.add(sweep)
    with caplog.at_level(logging.CRITICAL):
        sweeper.ensure_running()
        await eventually(lambda: len(rounds) >= 2)
    sweeper.remove(broken)
    await eventually(lambda: not sweeper.running)
