"""One socket: what is under way to its peer, and what the peer has proved to have read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from itertools import takewhile
from typing import Final, Protocol

from controller.emitters.acks import ACK_WAIT_S, AckAccount, AwaitingAck, read_ack
from controller.emitters.delivery import Delivery
from controller.emitters.endings import NORMAL, POLICY_VIOLATION, TRY_AGAIN_LATER, Ending, SocketEndedError
from controller.emitters.limits import Limits
from controller.emitters.outbox import Outbox
from controller.emitters.outcomes import DeliveryStatus
from controller.emitters.sockets import EventSocket

__all__ = ["ConnectionKeeper", "SocketConnection"]

logger = logging.getLogger(__name__)

#: Frames per ping. Measured on loopback: 46 000 events/s at 64, hardly more beyond, 6 600 at 1.
_BATCH: Final = 64
#: Losses after which the user may well come back and want what was not proved.
_COMES_BACK: Final = frozenset({DeliveryStatus.CLOSED, DeliveryStatus.LEFT, DeliveryStatus.TIMEOUT})


class ConnectionKeeper(Protocol):
    """Who keeps the connections."""

    def working(self, connection: SocketConnection) -> None:
        """It holds events from now on, and is to be swept while it does."""

    def flush_soon(self, connection: SocketConnection, loop: asyncio.AbstractEventLoop) -> None:
        """Call its `flush` in the next turn of its loop."""

    def finished(self, connection: SocketConnection, ending: Ending, held: list[Delivery], *, comes_back: bool) -> None:
        """It is over and held these events unproved, in the order they were emitted in."""


class SocketConnection:
    """Writes events to one socket and tells each whether the peer proved to have read it.

    A write proves nothing: after an abrupt reset 100 of 100 writes in the same loop turn were accepted. So each batch
    of frames is followed by a ping, and its pong proves that the peer has read everything before it. A peer whose
    application acknowledges is asked for more: its events count as acked when it names them, and as confirmed when it
    does not do so within a second of the pong.

    Nothing runs for an idle connection: a batch is written by a callback of the event loop, and a task exists only
    while the peer is slower than its events.
    """

    __slots__ = (
        "_clock", "_closer", "_finished", "_flush_due", "_inflight", "_keeper", "_limits", "_loop", "_outbox", "_read",
        "_writing", "acknowledges", "acks", "connection_id", "name", "socket", "thread_id", "timeouts_in_a_row",
        "user_id", "variant", "watched",
    )  # fmt: skip

    def __init__(
        self,
        connection_id: str,
        user_id: str,
        socket: EventSocket,
        *,
        limits: Limits,
        keeper: ConnectionKeeper,
        clock: Callable[[], float],
    ) -> None:
        self.connection_id = connection_id
        self.user_id = user_id
        self.socket = socket
        #: The client's own name for it, under which a later socket may come back.
        self.name: str | None = None
        self.thread_id: str | None = None
        #: The arm that the whole session was opened for, if it was.
        self.variant: str | None = None
        #: Whether its application acknowledges events: known from the first that it did, or told.
        self.acknowledges = False
        self.acks = AckAccount()
        #: Whether its keeper looks at its deadlines.
        self.watched = False
        #: Unproved events since the last proof of life.
        self.timeouts_in_a_row = 0
        self._limits = limits
        self._keeper = keeper
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(limits.max_queue)
        self._inflight: dict[str, Delivery] = {}
        self._read = AwaitingAck()
        self._flush_due = False
        self._finished = False
        self._writing: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None

    @property
    def key(self) -> str:
        """What tells it from the user's other connections."""
        return self.name if self.name is not None else self.connection_id

    @property
    def is_open(self) -> bool:
        """Whether events can still be written."""
        return not self._finished and self.socket.is_open

    @property
    def at_rest(self) -> bool:
        """Whether no task of this connection is left."""
        return all(task.done() for task in self._tasks())

    @property
    def idle(self) -> bool:
        """Whether it holds nothing, so that no deadline has to be watched."""
        return not (self._inflight or self._read or self._outbox)

    @property
    def queued(self) -> int:
        """Events waiting to be written."""
        return len(self._outbox)

    @property
    def in_flight(self) -> int:
        """Events written and not yet proved."""
        return len(self._inflight)

    # --- events of ours -------------------------------------------------------------------------------------------

    def offer(self, delivery: Delivery) -> bool:
        """Take an event into the queue; False when the queue is full."""
        if not self._outbox.offer(delivery):
            return False
        if not self.watched:
            self._keeper.working(self)
        if not self._flush_due and self._writing is None:
            self._flush_due = True
            self._keeper.flush_soon(self, self._loop)
        return True

    def resume(self, deliveries: list[Delivery]) -> None:
        """Take what an earlier connection of the user held; the bounds of that one have bounded it."""
        for delivery in deliveries:
            self._outbox.push(delivery)
        if not self.watched:
            self._keeper.working(self)
        self._write_on()

    def _write_on(self) -> None:
        """Write what waits, in the next turn of the loop, so that events of one turn share a batch."""
        if not self._flush_due and self._writing is None and self._outbox:
            self._flush_due = True
            self._keeper.flush_soon(self, self._loop)

    def flush(self) -> None:
        """Write one batch; the next one has its own turn, so that no connection keeps the others waiting."""
        self._flush_due = False
        if self._finished or self._writing is not None:
            return
        batch = self._outbox.next(min(_BATCH, self._limits.max_inflight - len(self._inflight)))
        if not batch:
            return
        # In flight before the write: whatever happens during it, finish() and expire() find them.
        for delivery in batch:
            self._inflight[delivery.event_id] = delivery
        try:
            turn = self.socket.write([delivery.frame for delivery in batch], partial(self._proved, batch))
        except Exception as error:  # noqa: BLE001 -- told in _failed
            self._failed(error)
            return
        if turn is None:
            if self._outbox:
                self._write_on()
        else:
            self._writing = self._loop.create_task(turn, name=f"writer-{self.connection_id}")
            self._writing.add_done_callback(self._turn_over)

    def _turn_over(self, turn: asyncio.Task[None]) -> None:
        self._writing = None
        if turn.cancelled():
            return
        error = turn.exception()
        if error is None:
            self._write_on()
        else:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        ending = error.ending if isinstance(error, SocketEndedError) else self.socket.ending()
        if ending is None:
            logger.error("writing to a connection failed: %r", error, exc_info=error)
            ending = Ending(DeliveryStatus.ERROR, f"the writer failed: {error!r}")
        self.finish(ending)

    # --- words of the peer ----------------------------------------------------------------------------------------

    def receive(self, message: str | bytes) -> bool:
        """Look at a message from the peer. True when it was an acknowledgement, whatever it was worth.

        Only this connection's own events can be acknowledged, so nobody can speak for somebody else.
        """
        ack = read_ack(message)
        if ack is None:
            return False
        delivery = self._inflight.pop(ack.event_id, None) or self._read.pop(ack.event_id)
        if delivery is None:
            self._needless_ack()
            return True
        self.acknowledges = True
        self.acks.useful()
        if ack.positive:
            delivery.confirmed(DeliveryStatus.ACKED)
        else:
            delivery.lost(DeliveryStatus.REJECTED, f"the client reported {ack.status!r}"[:200])
        self.timeouts_in_a_row = 0
        if self._outbox:
            self._write_on()
        return True

    def _needless_ack(self) -> None:
        if self.acks.needless():
            self.acknowledges = True
        elif self.acks.in_a_row > self._limits.max_ignored_acks and not self._finished:
            reason = f"{self.acks.in_a_row} acknowledgements in a row of nothing"
            self.finish(Ending(DeliveryStatus.CLOSED, f"{reason}: connection given up"), comes_back=False)
            self.close_soon(POLICY_VIOLATION, reason)

    def _proved(self, batch: list[Delivery]) -> None:
        """The peer has read these."""
        now, confirmed = self._clock(), 0
        for delivery in batch:
            if self._inflight.pop(delivery.event_id, None) is None:
                continue
            if self.acknowledges and self._may_wait_for_ack(delivery, now):
                self._read.put(delivery, now)
            else:
                confirmed += 1
                delivery.confirmed(DeliveryStatus.CONFIRMED, now)
        self.acks.to_come(confirmed)
        self.timeouts_in_a_row = 0
        if self._outbox:
            self._write_on()

    def _may_wait_for_ack(self, delivery: Delivery, now: float) -> bool:
        """Whether its acknowledgement can come before its deadline, and not too many are waited for."""
        limits = self._limits
        return delivery.deadline > now + ACK_WAIT_S + limits.margin and len(self._read) < limits.max_inflight

    # --- time and the end -----------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Give up what is past its deadline, and the socket itself after too many of them in a row."""
        self.acks.to_come(self._read.confirm(now))
        lost = list(takewhile(lambda held: held.deadline <= now, self._inflight.values()))
        for delivery in lost:
            del self._inflight[delivery.event_id]
            self.acks.to_come()
        lost += self._outbox.expired(now)
        for delivery in lost:
            delivery.lost(DeliveryStatus.TIMEOUT, "the peer did not prove receipt in time")
        self.timeouts_in_a_row += len(lost)
        if self.timeouts_in_a_row >= self._limits.max_timeouts and not self._finished:
            reason = f"{self.timeouts_in_a_row} events in a row unconfirmed"
            self.finish(Ending(DeliveryStatus.TIMEOUT, f"{reason}: connection given up"))
            self.close_soon(TRY_AGAIN_LATER, reason)
        elif lost:
            self._write_on()

    def let_go(self) -> list[Delivery]:
        """Give away everything unproved, in the order it was emitted in. What the peer has read is confirmed."""
        self._read.confirm()
        held = [*self._inflight.values(), *self._outbox.clear()]
        self._inflight.clear()
        return held

    def finish(self, ending: Ending, *, comes_back: bool | None = None) -> None:
        """End of the connection: let go of everything and stop writing. Only the first call counts.

        `comes_back`: whether its client may come back for what was not proved; by default it may, unless our own
        process or a breach of the rules has ended the connection.
        """
        if self._finished:
            return
        self._finished = True
        if comes_back is None:
            comes_back = ending.status in _COMES_BACK
        self._keeper.finished(self, ending, self.let_go(), comes_back=comes_back)
        if self._writing is not None:
            self._writing.cancel()

    def notice_end(self) -> None:
        """End the connection as soon as its closing has begun, by whichever side."""
        ending = None if self._finished else self.socket.ending()
        if ending is None:
            return
        self.finish(ending)
        if not self.socket.is_gone and not self.socket.closed_by_us:
            self.close_soon(NORMAL, "")

    def close_soon(self, code: int, reason: str) -> None:
        """Close the socket without waiting for it."""
        self._closer = self._loop.create_task(self.close(code, reason), name=f"closer-{self.connection_id}")

    async def close(self, code: int, reason: str) -> None:
        """Close the socket, cutting the transport of a peer that does not take part in the closing handshake."""
        try:
            # A peer that has stopped reading blocks close() itself: its close frame waits behind a full buffer.
            async with asyncio.timeout(self._limits.close_timeout):
                await self.socket.close(code, reason)
        except TimeoutError:
            self.socket.abort()

    async def stopped(self) -> None:
        """Wait until no task of this connection is left."""
        await asyncio.gather(*self._tasks(), return_exceptions=True)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [task for task in (self._writing, self._closer) if task is not None]
