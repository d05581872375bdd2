"""Whatever connections, peers and time do in whatever order: one outcome per event, and nothing is forgotten."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.emitters import (
    ConnectionLimitError,
    DeliveryOutcome,
    DeliveryRecorder,
    DeliveryStatus,
    Ending,
    SocketEndedError,
    UnifiedWebSocketManager,
)
from controller.emitters.connection import SocketConnection

USERS = st.sampled_from(["alice", "bob"])
TIMEOUT_S, WINDOW_S = 5.0, 12.0


class Peer:
    """A socket whose peer does what it is told."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.unread: list[Callable[[], None]] = []
        self.end: Ending | None = None
        self.is_gone = self.closed_by_us = False

    @property
    def is_open(self) -> bool:
        return self.end is None

    def write(self, frames: Sequence[bytes], on_read: Callable[[], None]) -> Coroutine[Any, Any, None] | None:
        if self.end is not None:
            raise SocketEndedError(self.end)
        self.written += [json.loads(frame)["event_id"] for frame in frames]
        self.unread.append(on_read)
        return None

    async def receive(self) -> str:
        raise SocketEndedError(Ending(DeliveryStatus.CLOSED, ""))

    def ending(self) -> Ending | None:
        return self.end

    async def close(self, code: int, reason: str) -> None:  # noqa: ARG002 - the interface's
        self.end = self.end or Ending(DeliveryStatus.INTERRUPTED, "")
        self.is_gone = True

    def abort(self) -> None:
        self.is_gone = True


class DeliveryMachine(RuleBasedStateMachine):
    """Two users, a few connections, a clock that stands still until it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 100.0
        self.heard: list[DeliveryOutcome] = []

    @initialize(bound=st.sampled_from([3, 50_000]))
    def begin(self, bound: int) -> None:
        recorder = DeliveryRecorder(delivery_deadline=TIMEOUT_S, clock=lambda: self.now)
        recorder.add_listener(self.heard.append)
        self.manager = UnifiedWebSocketManager(
            recorder=recorder,
            delivery_timeout=TIMEOUT_S,
            replay_window=WINDOW_S,
            max_queue=4,
            max_inflight=3,
            max_timeouts=3,
            max_ignored_acks=3,
            max_parked=bound,
        )
        self.manager._sweeper.ensure_running = lambda: None  # type: ignore[method-assign] # the machine sweeps

    def teardown(self) -> None:
        if hasattr(self, "manager"):
            self.run(self.manager.aclose())
            assert self.manager.recorder.pending == self.manager.parked == 0
            self.one_outcome_for_each_event()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def turn() -> Any:
            result = await work
            for _ in range(4):
                await asyncio.sleep(0)
            return result

        return self.loop.run_until_complete(turn())

    def live(self, pick: int) -> tuple[SocketConnection, Peer] | None:
        connections = self.manager.connections
        if not connections:
            return None
        found = connections[pick % len(connections)]
        assert isinstance(found.socket, Peer)
        return found, found.socket

    @rule(user=USERS, name=st.sampled_from([None, "tab-1", "tab-2"]))
    def a_user_connects(self, user: str, name: str | None) -> None:
        named = f"{user}-{name}" if name else None
        try:
            self.run(self.manager.add_connection(user, Peer(), connection_id=named))
        except ConnectionLimitError:
            assert self.manager.closing or len(self.manager.get_user_connections(user)) == 16

    @rule(user=USERS, event=st.sampled_from(["agent_thinking", "progress_update"]), events=st.integers(1, 6))
    def events_are_emitted(self, user: str, event: str, events: int) -> None:
        for _ in range(events):
            self.run(self.manager.emit_critical_event(user, event, {}, run_id="run"))

    @rule(pick=st.integers(0, 50))
    def a_peer_reads(self, pick: int) -> None:
        if (found := self.live(pick)) and found[1].unread:
            found[1].unread.pop(0)()

    @rule(pick=st.integers(0, 50), at=st.integers(0, 50), status=st.sampled_from(["confirmed", "failed"]))
    def a_peer_acknowledges_something(self, pick: int, at: int, status: str) -> None:
        found = self.live(pick)
        if found is not None:
            connection, peer = found
            event_id = peer.written[at % len(peer.written)] if peer.written and at < 40 else "of-nobody"
            connection.receive(json.dumps({"type": "confirmation", "event_id": event_id, "status": status}))

    @rule(pick=st.integers(0, 50), how=st.sampled_from([DeliveryStatus.LEFT, DeliveryStatus.CLOSED]))
    def a_connection_is_lost(self, pick: int, how: DeliveryStatus) -> None:
        if found := self.live(pick):
            found[1].end, found[1].is_gone = Ending(how, "lost"), True
            found[0].notice_end()

    @rule(pick=st.integers(0, 50))
    def a_connection_is_moved_away(self, pick: int) -> None:
        if found := self.live(pick):
            self.manager.move_away(found[0], 1012, "please come back")

    @rule(seconds=st.floats(0.01, 7.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.run(self.sweep())

    @precondition(lambda self: not self.manager.closing)
    @rule(dice=st.integers(0, 9))
    def the_process_is_drained(self, dice: int) -> None:
        if dice == 0:
            self.run(self.manager.drain(0))

    async def sweep(self) -> None:
        self.manager._sweep(self.now)

    @invariant()
    def one_outcome_for_each_event(self) -> None:
        if not hasattr(self, "manager"):
            return
        counters = self.manager.recorder.counters()
        ids = [outcome.event_id for outcome in self.heard]
        assert len(ids) == len(set(ids)) == counters.total
        assert counters.attempted == counters.total + counters.pending

    @invariant()
    def what_is_said_to_wait_for_users_does(self) -> None:
        if hasattr(self, "manager"):
            places = [place for user in self.manager._connections.parking._users.values() for place in user.values()]
            assert self.manager.parked == sum(len(place.events) for place in places)
            assert all(delivery.delivery.waiting >= 0 for place in places for delivery in place.events.values())

    @invariant()
    def nothing_waits_beyond_its_deadline(self) -> None:
        if hasattr(self, "manager"):
            overdue = [opened for opened in self.manager.recorder._pending.values() if opened.deadline + 7 < self.now]
            assert overdue == []


TestDeliveryMachine = DeliveryMachine.TestCase
TestDeliveryMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
