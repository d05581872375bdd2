"""Whatever becomes of the controller: what every kind of client serves at every moment.

The canary has 100 % of the users. Each client has heard from the controller just before the fault. The contact lease is
120 s; the clock is the test's, so that no moment is missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from openfeature.evaluation_context import EvaluationContext

from controller.client import CanaryProvider
from controller.wire.snapshots import to_wire
from tests.client.conftest import QUICK
from tests.client.fake_controller import Clock, FakeController, flag, rollout, snapshot, wait_until

FLAGS = (flag(live=rollout(10_000)), flag("steady", served="unified"), flag("killed", served="unified", enabled=False))
#: As an application has it: a minute of contact and a while on top before the canary comes back.
CALM = replace(QUICK, return_after=60.0, return_spread=60.0)


class Client:
    """One client and how it follows."""

    def __init__(self, provider: CanaryProvider) -> None:
        self.provider = provider

    def served(self, key: str = "emitter") -> tuple[bool, str]:
        """What an application gets, by OpenFeature and by the native call alike."""
        details = self.provider.resolve_boolean_details(key, True, EvaluationContext("anna"))
        native = self.provider.client.value(key, "anna", True)
        assert native is details.value
        return details.value, str(details.reason)

    @property
    def contact(self) -> float:
        return self.provider.client.holder.contact


Clients = dict[str, Client]


@pytest.fixture
def clients(controller: FakeController, provider_of: Callable[..., CanaryProvider], tmp_path) -> Clients:
    """One on a stream, one that polls, one that began from its disk, one that reports nothing more than the others."""
    controller.publish(snapshot(5, *FLAGS))
    path = tmp_path / "snapshot"
    first = provider_of(snapshot_path=path)
    first.initialize(EvaluationContext())
    first.shutdown()
    made = {
        "streaming": provider_of(pace=CALM),
        "from disk": provider_of(pace=CALM, snapshot_path=path),
    }
    for provider in made.values():
        provider.initialize(EvaluationContext())
    names = {provider.instance for provider in made.values()}
    wait_until(lambda: names <= {asked.headers["Canary-Instance"] for asked in controller.asked("/sdk/v1/stream")})
    wait_until(lambda: controller.streams >= 2)
    controller.stream_status = 503
    made["polling"] = provider_of(pace=CALM)
    made["polling"].initialize(EvaluationContext())
    controller.stream_status = 200
    return {name: Client(provider) for name, provider in made.items()}


def killed(controller: FakeController) -> None:
    controller.stop()


def hung(controller: FakeController) -> None:
    """It accepts and never answers; what is open stays open and says nothing."""
    controller.hang.clear()


def slow(controller: FakeController) -> None:
    """It answers a byte at a time, and never to the end."""
    controller.trickle = True
    controller.drop_streams()


def broken(controller: FakeController) -> None:
    controller.deny = 500
    controller.drop_streams()


def revoked(controller: FakeController) -> None:
    controller.deny = 401
    controller.drop_streams()


def garbage(controller: FakeController) -> None:
    """A proxy's page, with status 200."""
    controller.serve(b"<html>We will be right back</html>", "6")


def truncated(controller: FakeController) -> None:
    controller.serve(to_wire(snapshot(6, *FLAGS))[:-30], "6")


def older(controller: FakeController) -> None:
    controller.serve(to_wire(snapshot(4, *FLAGS)), "4")


def foreign(controller: FakeController) -> None:
    controller.serve(to_wire(snapshot(6, *FLAGS, environment="staging")), "6")


def blind(controller: FakeController) -> None:
    """It has lost its database: it keeps streams open with comments, and vouches for nothing."""
    controller.deny = 503
    controller.say(b": still here\n\n")


FAULTS = [killed, hung, slow, broken, revoked, garbage, truncated, older, foreign, blind]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_client_serves_the_canary_to_the_end_of_its_lease_and_then_the_control(
    controller: FakeController, clock: Clock, clients: Clients, fault: Callable[[FakeController], None]
) -> None:
    before = {name: client.contact for name, client in clients.items()}
    fault(controller)
    for moment, expected in (
        (0, (True, "STATIC")),
        (60, (True, "STATIC")),
        (119, (True, "STATIC")),
        (120, (True, "STATIC")),
        (120.5, (False, "STALE")),
        (3_600, (False, "STALE")),
        (10**7, (False, "STALE")),
    ):
        for name, client in clients.items():
            clock.now = before[name] + moment
            assert client.served() == expected, (name, moment)
            assert client.served("steady") == (True, "STATIC"), (name, moment)
            assert client.served("killed") == (False, "DISABLED"), (name, moment)


@pytest.mark.parametrize("fault", [killed, hung, broken], ids=lambda fault: fault.__name__)
def test_every_client_comes_back_by_itself_after_a_minute_of_contact_or_two(
    controller: FakeController, clock: Clock, clients: Clients, fault: Callable[[FakeController], None]
) -> None:
    port = controller.port
    fault(controller)
    clock.now += 600
    controller.hang.set()
    controller.deny = 0
    controller.drop_streams()
    if fault is killed:
        controller.port = port
        controller.start()
    began = clock.now
    beat(controller, clock, clients)
    assert {client.served() for client in clients.values()} == {(False, "STALE")}
    while clock.now < began + 59:
        clock.now += 10 if clock.now < began + 50 else 9
        beat(controller, clock, clients)
    assert {client.served() for client in clients.values()} == {(False, "STALE")}
    while clock.now < began + 130:
        clock.now += 10
        beat(controller, clock, clients)
    assert {client.served() for client in clients.values()} == {(True, "STATIC")}


def beat(controller: FakeController, clock: Clock, clients: Clients) -> None:
    """Everybody has contact at this moment."""

    def heard() -> bool:
        controller.heartbeat()
        return all(client.contact >= clock.now for client in clients.values())

    wait_until(heard)


def test_a_rollback_during_the_fault_is_what_everybody_comes_back_to(
    controller: FakeController, clock: Clock, clients: Clients
) -> None:
    hung(controller)
    clock.now += 60
    controller.serve(to_wire(snapshot(6, flag(live=rollout(0)), *FLAGS[1:])), "6", quietly=True)
    controller.hang.set()
    controller.drop_streams()
    wait_until(lambda: {client.served() for client in clients.values()} == {(False, "STATIC")})


def test_a_new_instance_without_a_controller_serves_the_controls_it_was_given(
    controller: FakeController, provider_of: Callable[..., CanaryProvider]
) -> None:
    killed(controller)
    client = Client(provider_of(init_timeout=0.05, controls={"emitter": False}))
    client.provider.initialize(EvaluationContext())
    assert client.served() == (False, "STALE")


def test_nobodys_wall_clock_matters(
    controller: FakeController, clock: Clock, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour off on either side, and jumping: leases and contact are measured on the machine's running time."""
    controller.headers = {"Date": "Thu, 01 Jan 1970 00:00:00 GMT"}
    for hour in (-1, 1, -1_000):
        monkeypatch.setattr("controller.client.canary.system_clock", lambda hour=hour: 3_600_000 * (500_000 + hour))
        for client in clients.values():
            assert client.served() == (True, "STATIC")
        clock.now += 10
        controller.drop_streams()
        beat(controller, clock, clients)
    clock.now += 121
    assert {client.served() for client in clients.values()} == {(False, "STALE")}


def test_a_body_that_trickles_does_not_hold_the_client_for_ever(
    controller: FakeController, provider_of: Callable[..., CanaryProvider]
) -> None:
    controller.publish(snapshot(5, *FLAGS))
    controller.trickle = True
    provider = provider_of(pace=replace(QUICK, answer=0.2), init_timeout=0.1)
    provider.initialize(EvaluationContext())
    controller.trickle = False
    wait_until(lambda: provider.snapshot is not None)
    assert Client(provider).served() == (True, "STATIC")


def test_a_stream_that_only_comments_is_left_for_another_one(
    controller: FakeController, provider_of: Callable[..., CanaryProvider]
) -> None:
    controller.publish(snapshot(5, *FLAGS))
    provider = provider_of(pace=replace(QUICK, silence=0.2))
    provider.initialize(EvaluationContext())
    wait_until(lambda: controller.streams)
    asked = len(controller.asked("/sdk/v1/stream"))
    controller.heartbeat()  # it has spoken before

    def left() -> bool:
        controller.say(b": still here\n\n")
        return len(controller.asked("/sdk/v1/stream")) > asked

    wait_until(left)
