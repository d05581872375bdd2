"""One socket: its queue, its writer, and what the peer has proved to have read."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Final, cast

import msgspec
from websockets.asyncio.connection import Connection as WebSocket
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close
from websockets.protocol import State

from controller.emitters.delivery import Delivery
from controller.emitters.outcomes import DeliveryStatus

__all__ = ["ConnectionLimits", "SocketConnection", "how_it_ended"]

logger = logging.getLogger(__name__)

#: Frames per ping. Measured on loopback: 46 000 events/s at 64, hardly more beyond, 6 600 at 1.
_BATCH: Final = 64
#: A clean close by the peer. 1005 is the close frame without a code that `ws.close()` sends in a browser.
_LEFT_CODES: Final = frozenset({1000, 1001, 1005})
#: Codes with which a process closes its sockets when it stops or restarts.
_OUR_STOP_CODES: Final = frozenset({1000, 1001, 1012})
#: Close code of RFC 6455 registry: try again later.
_TRY_AGAIN_LATER: Final = 1013
_MAX_ACK_BYTES: Final = 1_024


class _Ack(msgspec.Struct):
    """{"type": "ack", "event_id"} or {"type": "confirmation", "event_id", "status": "confirmed" | "failed"}."""

    type: str
    event_id: str
    status: str = "confirmed"


_ack_decoder: Final = msgspec.json.Decoder(_Ack)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may hold, and how long it waits."""

    #: Events waiting to be written. One more is an overflow.
    max_queue: int = 256
    #: Events written and not yet confirmed. The writer waits while there are this many.
    max_inflight: int = 1_024
    #: Unconfirmed events in a row after which the socket is closed with 1013.
    max_timeouts: int = 10
    #: Seconds for the closing handshake; then the transport is cut.
    close_timeout: float = 2.0

    def __post_init__(self) -> None:
        for name in ("max_queue", "max_inflight", "max_timeouts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.close_timeout <= 0:
            raise ValueError(f"close_timeout must be more than 0 seconds, not {self.close_timeout}")


class SocketConnection:
    """Writes events to one socket and tells each whether the peer proved to have read it.

    A write proves nothing: after an abrupt reset 100 of 100 writes in the same loop turn were accepted. So each batch
    of frames is followed by a ping, and its pong proves that the peer has read everything before it.
    """

    def __init__(
        self,
        connection_id: str,
        user_id: str,
        websocket: WebSocket,
        *,
        thread_id: str | None,
        limits: ConnectionLimits,
        on_finished: Callable[[SocketConnection], None],
    ) -> None:
        self.connection_id = connection_id
        self.user_id = user_id
        self.thread_id = thread_id
        self.websocket = websocket
        #: Acknowledgements that changed nothing: repeats, late ones, unknown ids.
        self.ignored_acks = 0
        #: Unconfirmed events since the last proof of life.
        self.timeouts_in_a_row = 0
        self._limits = limits
        self._on_finished = on_finished
        self._queue: deque[Delivery] = deque()
        self._inflight: dict[str, Delivery] = {}
        self._wake = asyncio.Event()
        self._finished = False
        self._writer: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether events can still be written."""
        return not self._finished and self.websocket.state is State.OPEN

    @property
    def closed_by_us(self) -> bool:
        """Whether our own process has begun to close the socket in order to stop."""
        protocol = self.websocket.protocol
        sent = protocol.close_sent
        return sent is not None and not protocol.close_rcvd_then_sent and sent.code in _OUR_STOP_CODES

    @property
    def at_rest(self) -> bool:
        """Whether no task of this connection is left."""
        return all(task.done() for task in self._tasks())

    @property
    def queued(self) -> int:
        """Events waiting to be written."""
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        """Events written and not yet confirmed."""
        return len(self._inflight)

    def start(self) -> None:
        """Start the writer."""
        self._writer = asyncio.get_running_loop().create_task(self._write(), name=f"writer-{self.connection_id}")

    def offer(self, delivery: Delivery) -> bool:
        """Take an event into the queue; False when the queue is full."""
        if len(self._queue) >= self._limits.max_queue:
            return False
        self._queue.append(delivery)
        delivery.taken()
        self._wake.set()
        return True

    def receive(self, message: str | bytes) -> bool:
        """Look at a message from the peer. True when it was an acknowledgement, whatever it was worth.

        Only this connection's own events can be acknowledged, so nobody can speak for somebody else.
        """
        if len(message) > _MAX_ACK_BYTES:
            return False
        try:
            ack = _ack_decoder.decode(message)
        except (msgspec.MsgspecError, UnicodeError):
            return False
        if ack.type not in {"ack", "confirmation"}:
            return False
        delivery = self._inflight.pop(ack.event_id, None)
        if delivery is None:
            self.ignored_acks += 1
        elif ack.type == "confirmation" and ack.status != "confirmed":
            delivery.lost(DeliveryStatus.REJECTED, f"the client reported {ack.status!r}"[:200])
        else:
            delivery.confirmed(DeliveryStatus.ACKED)
        self._proved_alive()
        return True

    def expire(self, now: float) -> None:
        """Give up what is past its deadline, and the socket itself after too many of them in a row."""
        lost = list(takewhile(lambda held: held.deadline <= now, self._inflight.values()))
        for delivery in lost:
            del self._inflight[delivery.event_id]
        while self._queue and self._queue[0].deadline <= now:
            lost.append(self._queue.popleft())
        for delivery in lost:
            delivery.lost(DeliveryStatus.TIMEOUT, "the peer did not prove receipt in time")
        self.timeouts_in_a_row += len(lost)
        if self.timeouts_in_a_row >= self._limits.max_timeouts and not self._finished:
            reason = f"{self.timeouts_in_a_row} events in a row unconfirmed"
            self.finish(DeliveryStatus.TIMEOUT, f"{reason}: connection given up")
            self._closer = asyncio.get_running_loop().create_task(self.close(_TRY_AGAIN_LATER, reason))
        elif lost:
            self._wake.set()

    def abandon_unsettled(self, status: DeliveryStatus, error: str) -> None:
        """Settle everything held here. The connection stays as it is."""
        held = [*self._inflight.values(), *self._queue]
        self._inflight.clear()
        self._queue.clear()
        for delivery in held:
            delivery.lost(status, error)

    def finish(self, status: DeliveryStatus, error: str) -> None:
        """End of the connection: settle everything held here and stop the writer. Only the first call counts."""
        if self._finished:
            return
        self._finished = True
        self._on_finished(self)
        self.abandon_unsettled(status, error)
        if self._writer is not None and self._writer is not asyncio.current_task():
            self._writer.cancel()

    def notice_end(self) -> None:
        """End the connection as soon as its closing has begun, by whichever side.

        A reader hears of it only when the TCP connection is gone, and a peer that goes to sleep after its close frame
        keeps that up for long. No proof can follow a close frame (RFC 6455, 5.5.1), so nothing is gained by waiting.
        """
        protocol = self.websocket.protocol
        if self._finished or protocol.state is State.OPEN:
            return
        self.finish(*how_it_ended(protocol.close_rcvd, protocol.close_sent, protocol.close_rcvd_then_sent))
        if protocol.state is not State.CLOSED and not self.closed_by_us:
            self._closer = asyncio.get_running_loop().create_task(self.close(1000, ""))

    async def close(self, code: int, reason: str) -> None:
        """Close the socket, cutting the transport of a peer that does not take part in the closing handshake."""
        try:
            # A peer that has stopped reading blocks close() itself: its close frame waits behind a full buffer.
            async with asyncio.timeout(self._limits.close_timeout):
                await self.websocket.close(code, reason)
        except TimeoutError:
            self.websocket.transport.abort()

    async def stopped(self) -> None:
        """Wait until no task of this connection is left."""
        await asyncio.gather(*self._tasks(), return_exceptions=True)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [task for task in (self._writer, self._closer) if task is not None]

    async def _write(self) -> None:
        try:
            while True:
                batch = self._next_batch()
                if batch:
                    await self._send(batch)
                else:
                    self._wake.clear()
                    await self._wake.wait()
        except ConnectionClosed as closed:
            self.finish(*how_it_ended(closed.rcvd, closed.sent, closed.rcvd_then_sent))
        except Exception as error:
            logger.exception("the writer of a connection failed")
            self.finish(DeliveryStatus.ERROR, f"the writer failed: {error!r}")

    def _next_batch(self) -> list[Delivery]:
        size = min(_BATCH, len(self._queue), self._limits.max_inflight - len(self._inflight))
        return [self._queue.popleft() for _ in range(size)]

    async def _send(self, batch: list[Delivery]) -> None:
        # In flight before the write: whatever happens during it, finish() and expire() find them.
        self._inflight.update((delivery.event_id, delivery) for delivery in batch)
        for delivery in batch:
            await self.websocket.send(delivery.frame, text=True)
        pong = cast("asyncio.Future[float]", await self.websocket.ping())
        pong.add_done_callback(partial(self._ponged, batch))

    def _ponged(self, batch: list[Delivery], pong: asyncio.Future[float]) -> None:
        if pong.cancelled() or pong.exception() is not None:
            return  # the connection is over, and its end settles the batch
        for delivery in batch:
            if self._inflight.pop(delivery.event_id, None) is not None:
                delivery.confirmed(DeliveryStatus.CONFIRMED)
        self._proved_alive()

    def _proved_alive(self) -> None:
        self.timeouts_in_a_row = 0
        if self._queue:
            self._wake.set()


def how_it_ended(received: Close | None, sent: Close | None, received_first: bool | None) -> tuple[DeliveryStatus, str]:
    """What the end of a socket means for the events it still held.

    A clean close by the peer: the user left. A clean close that we began: our process ended it. Anything else, such as
    a reset, a keepalive that nobody answered or a breach of the protocol, is an unclean close, and a failure.
    """
    if sent is not None and not received_first:
        if sent.code in _OUR_STOP_CODES:
            return DeliveryStatus.INTERRUPTED, f"this process closed the connection ({sent})"
        return DeliveryStatus.CLOSED, f"the connection had to be closed ({sent})"
    if received is None:
        return DeliveryStatus.CLOSED, "the connection broke without a close frame"
    if received.code in _LEFT_CODES:
        return DeliveryStatus.LEFT, f"the user left ({received})"
    return DeliveryStatus.CLOSED, f"the peer closed with an error ({received})"
