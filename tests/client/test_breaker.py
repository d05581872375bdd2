"""The local breaker: when a client's own outcomes take it back to the control, and when they do not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import pytest

from controller.client import CanaryClient, DeliveryReporter
from controller.client.breaker import LocalBreaker
from controller.client.compiled import Answer
from controller.client.holder import HolderObserver, SnapshotHolder
from controller.client.pace import Pace
from controller.domain.guards import Guard
from controller.domain.judge.local import local_constants
from controller.domain.outcomes import OutcomeClass
from controller.domain.plans import Breaker
from controller.domain.snapshots import PublishedBreaker, PublishedRollout, Snapshot
from controller.wire.snapshots import to_wire
from tests.client.conftest import QUICK
from tests.client.fake_controller import (
    EVENTS,
    TOKEN,
    Clock,
    FakeController,
    flag,
    rollout,
    snapshot,
    wait_until,
)
from tests.domain.builders import frozen

CANARY, CONTROL = (True, None), (False, "breaker")
STARTED = EVENTS[0]


@cache
def constants() -> str:
    text = local_constants(frozen(Guard("delivery"), events=EVENTS).canonical())
    assert text is not None
    return text


def live(mode: Breaker = Breaker.WHEN_BLIND, round_: int = 1, text: str = "", **but: Any) -> PublishedRollout:
    return rollout(10_000, breaker=PublishedBreaker(mode, round_, text or constants()), **but)


class Process:
    """One process of an application: what it holds, what it reports, and its breaker."""

    def __init__(self, clock: Clock, reporter: DeliveryReporter, chance: float = 0.0) -> None:
        process = self

        class Observer(HolderObserver):
            def applied(self, snapshot: Snapshot, changed: list[str], answers: Sequence[Answer]) -> None:  # noqa: ARG002
                reporter.applied(snapshot, answers)
                process.breaker.applied(snapshot)

        self.clock = clock
        self.reporter = reporter
        self.holder = SnapshotHolder(None, clock, Pace(), Observer(), lambda: 0.0)
        self.breaker = LocalBreaker(self.holder, reporter, Pace(), clock, lambda: chance)
        self.holder.counted(1)
        self.revision = 0
        self.users = 0

    def take(self, *live: PublishedRollout) -> None:
        self.revision += 1
        flags = [flag(live=each) for each in live] or [flag(served="unified")]
        assert self.holder.receive(to_wire(snapshot(self.revision, *flags)), self.clock.now)

    def lose(self) -> None:
        """The controller does not answer."""
        self.clock.now += 1
        self.holder.missed()

    def hear(self, seconds: float = 0.0) -> None:
        """The controller is heard, for so long."""
        for _ in range(1 + int(seconds // 10)):
            self.clock.now += 10 if seconds else 1
            self.holder.heard(self.clock.now, self.revision)
            self.breaker.look()

    def deliver(self, *outcomes: OutcomeClass, settle: bool = True) -> None:
        """One event each to users who were never seen before, under whatever they are served."""
        for outcome in outcomes:
            self.users += 1
            user = f"user-{self.users}"
            answer = self.holder.flags["emitter"].choose(user, {})
            assert answer is not None
            said: Any = answer.metadata
            attempt = self.reporter.attempt(
                flag="emitter",
                variant=answer.variant,
                event_type=STARTED,
                user_id=user,
                rollout=said.get("rollout"),
                epoch=said.get("epoch", 0),
            )
            if settle:
                self.reporter.settle_attempt(attempt, outcome)
        self.breaker.look()

    def fail(self, times: int = 20) -> None:
        self.deliver(*[OutcomeClass.FAILED] * times)

    def served(self) -> tuple[object, object]:
        answer = self.holder.flags["emitter"].choose("anna", {})
        assert answer is not None
        return answer.value, answer.metadata.get("reason")


@pytest.fixture
def process(clock: Clock, reporter_of: Callable[..., DeliveryReporter]) -> Iterator[Process]:
    made = Process(clock, reporter_of(started=False))
    yield made
    made.breaker.stop()


def test_while_the_controller_is_heard_it_decides(process: Process) -> None:
    process.take(live())
    process.fail(100)
    assert process.served() == CANARY


def test_while_the_controller_is_out_of_reach_a_failing_canary_is_left(process: Process) -> None:
    process.take(live())
    process.lose()
    process.fail()
    assert process.served() == CONTROL


def test_what_failed_before_the_controller_was_lost_counts_as_well(process: Process) -> None:
    process.take(live())
    process.fail()
    process.lose()
    process.breaker.look()
    assert process.served() == CONTROL


def test_a_controller_that_says_nothing_for_too_long_is_out_of_reach(process: Process) -> None:
    process.take(live())
    process.fail()
    process.clock.now += 25.1
    process.breaker.look()
    assert process.served() == CONTROL


def test_a_healthy_canary_stays_while_the_controller_is_away(process: Process) -> None:
    process.take(live())
    process.lose()
    for _ in range(40):
        process.deliver(*[OutcomeClass.DELIVERED] * 30, OutcomeClass.FAILED)
    assert process.served() == CANARY


def test_outcomes_that_never_come_are_failures(process: Process) -> None:
    process.take(live())
    process.lose()
    process.deliver(*[OutcomeClass.FAILED] * 20, settle=False)
    assert process.served() == CANARY
    process.clock.now += 5.1
    process.breaker.look()
    assert process.served() == CONTROL


@pytest.mark.parametrize(("mode", "served"), [(Breaker.TRIP, CONTROL), (Breaker.REPORT, CANARY)])
def test_other_modes_do_the_same_whether_the_controller_is_heard_or_not(
    process: Process, mode: Breaker, served: tuple[object, object]
) -> None:
    process.take(live(mode))
    process.fail()
    assert process.served() == served
    process.lose()
    process.fail()
    assert process.served() == served
    process.hear(300)
    assert process.served() == served  # a breaker that trips stays until the controller's next word


@pytest.mark.parametrize("mode", Breaker)
def test_the_controller_is_told_of_a_conviction_once(
    controller: FakeController, process: Process, mode: Breaker
) -> None:
    process.take(live(mode))
    process.lose()
    process.fail()
    process.fail()
    process.reporter.start()
    process.reporter.flush()
    assert controller.reports[-1].trips == 1


def test_the_more_clients_there_are_the_more_each_of_them_needs(process: Process) -> None:
    def needed(clients: int) -> int:
        process.holder.counted(clients)
        process.holder.instances = clients
        process.take(live(round_=process.revision + 1))
        process.lose()
        for number in range(1, 40):
            process.fail(1)
            if process.served() == CONTROL:
                return number
        raise AssertionError(clients)

    found = [needed(clients) for clients in (1, 1_000, 1_000_000)]
    assert found[0] < found[1] < found[2] < 15
    assert needed(0) == found[1]  # never told: as if there were a thousand


def test_what_a_breaker_serves_is_no_evidence(process: Process) -> None:
    process.take(live())
    process.lose()
    process.fail()
    process.reporter.own_outcomes()
    process.deliver(*[OutcomeClass.DELIVERED] * 5)
    assert process.reporter.own_outcomes().evidence == {}
    answer = process.holder.flags["emitter"].choose("anna", {})
    assert answer is not None
    assert (answer.reason, answer.metadata.get("rollout")) == ("STALE", None)


def test_the_canary_comes_back_when_the_controller_has_been_heard_for_a_while(
    clock: Clock, reporter_of: Callable[..., DeliveryReporter]
) -> None:
    process = Process(clock, reporter_of(started=False), chance=0.5)
    process.take(live())
    process.lose()
    process.fail()
    process.hear(70)
    process.lose()
    process.breaker.look()
    process.hear(80)
    assert process.served() == CONTROL  # 60 s of contact without a break, and half of the 60 s it is spread over
    process.hear(20)
    assert process.served() == CANARY
    process.breaker.stop()


def test_a_new_round_begins_without_what_was(process: Process) -> None:
    process.take(live())
    process.lose()
    process.fail()
    process.take(live(round_=2, epoch=4))
    process.breaker.look()
    assert process.served() == CANARY
    process.lose()
    process.breaker.look()
    assert process.served() == CANARY


def test_a_new_share_in_the_same_round_does_not_undo_a_trip(process: Process) -> None:
    process.take(live(Breaker.TRIP))
    process.fail()
    process.take(live(Breaker.TRIP, epoch=4))
    process.breaker.look()
    assert process.served() == CONTROL


def test_a_promotion_ends_it(process: Process) -> None:
    process.take(live(Breaker.TRIP))
    process.fail()
    process.take()
    process.breaker.look()
    assert process.served() == CANARY


def test_what_the_control_shares_is_held_for_five_minutes(process: Process) -> None:
    process.take(live(Breaker.TRIP, control="legacy"))
    arms = ("legacy", "unified")
    for number in range(40):
        for variant in arms:
            attempt = process.reporter.attempt(
                flag="emitter",
                variant=variant,
                event_type=STARTED,
                user_id=f"{variant}{number}",
                rollout="ramp",
                epoch=3,
            )
            process.reporter.settle_attempt(attempt, OutcomeClass.FAILED)
    process.breaker.look()
    assert process.served() == CANARY


@pytest.mark.parametrize("text", ['{"form":99}', "[]", '{"form":2}', '{"form":2,"tests":7}', '"x"'])
def test_constants_of_another_release_trip_nothing_and_are_told_of_once(
    process: Process, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    process.take(live(Breaker.TRIP, text=text))
    with caplog.at_level(logging.WARNING):
        process.fail(50)
        process.fail(50)
    assert process.served() == CANARY
    assert caplog.text.count("not judged here") == 1


def test_without_a_rollout_to_judge_no_thread_runs(process: Process) -> None:
    process.take(rollout(10_000))
    assert process.breaker._thread is None
    process.fail(50)
    assert process.served() == CANARY


def test_a_client_that_loses_its_controller_leaves_a_failing_canary_by_itself(
    controller: FakeController, clock: Clock
) -> None:
    controller.publish(snapshot(1, flag(live=live())))
    client = CanaryClient(
        controller.url, TOKEN, clock=clock, pace=QUICK, poll_interval=0.05, reporter="auto", instance="chat-1"
    )
    assert client.start()
    assert client.value("emitter", "anna", default=False) is True
    controller.stop()
    assert client.reporter is not None
    for number in range(30):
        said = client.details("emitter", f"user-{number}", default=False)
        attempt = client.reporter.attempt(
            flag="emitter",
            variant=said.variant or "",
            event_type=STARTED,
            user_id=f"user-{number}",
            rollout=said.rollout,
            epoch=said.epoch,
        )
        client.reporter.settle_attempt(attempt, OutcomeClass.FAILED)
    wait_until(lambda: client.value("emitter", "anna", default=True) is False)
    assert client.details("emitter", "anna", default=True).reason == "STALE"
    controller.start()
    wait_until(lambda: any(report.trips == 1 for report in controller.reports))
    client.close()
