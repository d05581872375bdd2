"""What the tests of faults share: two arms on one manager, an audit of every outcome, and a proxy that goes silent."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from controller.emitters import (
    DeliveryAttempt,
    DeliveryOutcome,
    EmitReceipt,
    LegacyBridgeEmitter,
    OutcomeClass,
    UnifiedWebSocketEmitter,
    UserExecutionContext,
)
from controller.emitters.connection import SocketConnection
from controller.emitters.delivery import Delivery
from tests.emitters.sockets import Backend, eventually, running_backend

#: Nothing of these may outlive a manager. (A receipt is the caller's to keep.)
_KEPT_ONLY_WHILE_NEEDED = (SocketConnection, Delivery)


class Audit:
    """Hears everything and keeps account, by itself, of what the recorder says."""

    def __init__(self) -> None:
        self.attempts: Counter[str] = Counter()
        self.outcomes: dict[str, list[DeliveryOutcome]] = {}

    def attempted(self, attempt: DeliveryAttempt) -> None:
        self.attempts[attempt.event_id] += 1

    def settled(self, outcome: DeliveryOutcome) -> None:
        self.outcomes.setdefault(outcome.event_id, []).append(outcome)

    def of(self, variant: str) -> Counter[str]:
        """The statuses charged to a variant."""
        return Counter(str(outcome.status) for [outcome] in self.outcomes.values() if outcome.variant == variant)

    def classes(self, variant: str) -> set[OutcomeClass]:
        return {outcome.outcome_class for [outcome] in self.outcomes.values() if outcome.variant == variant}

    def complete(self) -> bool:
        return self.attempts.keys() == self.outcomes.keys()

    def check(self) -> None:
        """Exactly one attempt and one outcome for each event."""
        assert set(self.attempts.values()) <= {1}
        assert self.attempts.keys() == self.outcomes.keys()
        assert {len(found) for found in self.outcomes.values()} <= {1}


class Scene:
    """Alice is on the canary, Bob on the control; what happens to her must not be charged to him, nor reach him."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.manager = backend.manager
        self.audit = Audit()
        backend.manager.recorder.add_listener(self.audit)
        self.canary = UnifiedWebSocketEmitter.create_user_emitter(self.manager, UserExecutionContext("alice", "t-a"))
        self.control = LegacyBridgeEmitter(self.manager, UserExecutionContext("bob", "t-b"))

    async def emit(self, events: int = 1, **data: Any) -> list[EmitReceipt]:
        """So many events of each arm, alice's first."""
        receipts = []
        for number in range(events):
            receipts.append(await self.canary.emit_agent_thinking({"n": number, **data}))
            await self.control.emit_agent_thinking({"n": number})
        return receipts

    async def settled(self) -> None:
        """Wait for all outcomes."""
        await eventually(self.audit.complete)


@asynccontextmanager
async def scene(**settings: Any) -> AsyncIterator[Scene]:
    """A scene; at its end every event has exactly one outcome, no task is left, and no memory of what is over."""
    gc.collect()
    before = _kept()
    async with running_backend(**settings) as backend:
        playing = Scene(backend)
        yield playing
        await playing.settled()
        playing.audit.check()
    playing.audit.check()
    assert playing.manager.parked == 0
    assert playing.manager.connections == []
    del playing, backend
    gc.collect()
    assert _kept() - before == Counter()


def _kept() -> Counter[str]:
    return Counter(type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, _KEPT_ONLY_WHILE_NEEDED))


class Proxy:
    """Hands bytes on between a client and the server, until it goes silent: then it swallows them."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._silent = False
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def go_silent(self) -> None:
        self._silent = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._upstream)
        for source, sink in ((reader, back), (there, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                if not self._silent:
                    sink.write(data)
                    await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()


@asynccontextmanager
async def proxy(port: int) -> AsyncIterator[Proxy]:
    """A proxy in front of a port."""
    between = Proxy(port)
    async with await asyncio.start_server(between._serve, "127.0.0.1", 0) as server:
        between._server = server
        yield between
        for pump in list(between._pumps):
            pump.cancel()
        await asyncio.gather(*between._pumps, return_exceptions=True)
