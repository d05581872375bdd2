"""A controller double, and providers and reporters that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openfeature import api

from controller.client import CanaryProvider, DeliveryReporter
from controller.client.pace import Pace
from tests.client.fake_controller import TOKEN, Clock, FakeController

QUICK = Pace(
    silence=25.0,
    connect=1.0,
    answer=5.0,
    least_backoff=0.02,
    most_backoff=0.1,
    hasty=0.01,
    hasty_gap=0.02,
    lease_jitter=0.0,  # leases have tests of their own
    return_after=0.0,
    return_spread=0.0,
)


@pytest.fixture
def controller() -> Iterator[FakeController]:
    fake = FakeController().start()
    yield fake
    fake.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reporter_of(controller: FakeController, clock: Clock) -> Iterator[Callable[..., DeliveryReporter]]:
    made: list[DeliveryReporter] = []

    def make(*, started: bool = True, **but: Any) -> DeliveryReporter:
        said = {"clock": clock, "pace": QUICK, "flush_interval": 0.05, "heartbeat": 600}
        made.append(DeliveryReporter(but.pop("url", controller.url), TOKEN, **(said | but)))
        if started:
            made[-1].start()
        return made[-1]

    yield make
    controller.hang.set()
    for reporter in made:
        reporter.close(timeout=0.2)


@pytest.fixture
def provider_of(controller: FakeController, clock: Clock) -> Iterator[Callable[..., CanaryProvider]]:
    made: list[CanaryProvider] = []

    def make(**but: Any) -> CanaryProvider:
        said = {"reporter": None, "clock": clock, "pace": QUICK, "poll_interval": 0.05, "init_timeout": 5}
        made.append(CanaryProvider(but.pop("url", controller.url), but.pop("token", TOKEN), **(said | but)))
        return made[-1]

    yield make
    controller.hang.set()
    for provider in made:
        provider.shutdown()
    api.clear_providers()
