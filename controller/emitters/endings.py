"""What the end of a socket means for the events that it still held."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from websockets.frames import Close

from controller.emitters.outcomes import DeliveryStatus

__all__ = [
    "GOING_AWAY",
    "LEFT_CODES",
    "NORMAL",
    "OUR_STOP_CODES",
    "POLICY_VIOLATION",
    "REPLACED",
    "SERVICE_RESTART",
    "TRY_AGAIN_LATER",
    "Ending",
    "SocketEndedError",
    "of_asgi_disconnect",
    "of_close_frames",
]

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
POLICY_VIOLATION: Final = 1008
SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013
#: A newer socket has come in this one's place. From the range that RFC 6455 leaves to applications.
REPLACED: Final = 4000

_NO_CODE: Final = 1005
_NO_FRAME: Final = 1006
#: A clean close by the peer. 1005 is the close frame without a code that `ws.close()` sends in a browser.
LEFT_CODES: Final = frozenset({NORMAL, GOING_AWAY, _NO_CODE})
#: Codes with which a process closes its sockets when it stops or restarts.
OUR_STOP_CODES: Final = frozenset({NORMAL, GOING_AWAY, SERVICE_RESTART})


class Ending(NamedTuple):
    """How a socket ended, as the outcome of what it held."""

    status: DeliveryStatus
    error: str


class SocketEndedError(Exception):
    """The socket has ended: nothing more can be read from it or written to it."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.error)
        self.ending = ending


def of_close_frames(received: Close | None, sent: Close | None, received_first: bool | None) -> Ending:
    """The end of a socket whose close frames are known.

    A clean close by the peer: the user left. A clean close that we began: our process ended it. Anything else, such as
    a reset, a keepalive that nobody answered or a breach of the protocol, is an unclean close, and a failure.
    """
    if sent is not None and not received_first:
        if sent.code in OUR_STOP_CODES:
            return Ending(DeliveryStatus.INTERRUPTED, f"this process closed the connection ({sent})")
        return Ending(DeliveryStatus.CLOSED, f"the connection had to be closed ({sent})")
    if received is None:
        return Ending(DeliveryStatus.CLOSED, "the connection broke without a close frame")
    if received.code in LEFT_CODES:
        return Ending(DeliveryStatus.LEFT, f"the user left ({received})")
    return Ending(DeliveryStatus.CLOSED, f"the peer closed with an error ({received})")


def of_asgi_disconnect(message: Mapping[str, Any]) -> Ending:
    """The end of a socket as an ASGI server tells it (`websocket.disconnect`).

    Servers disagree about a peer that vanished: 1006, or, as uvicorn does, 1005 without a `reason`, which a real close
    frame has. 1012 is the server's own word for its shutdown.
    """
    code = message.get("code", _NO_CODE)
    if code == SERVICE_RESTART:
        return Ending(DeliveryStatus.INTERRUPTED, "this process closed the connection (1012)")
    if code == _NO_FRAME or (code == _NO_CODE and message.get("reason") is None):
        return Ending(DeliveryStatus.CLOSED, "the connection broke without a close frame")
    if code in LEFT_CODES:
        return Ending(DeliveryStatus.LEFT, f"the user left ({code})")
    return Ending(DeliveryStatus.CLOSED, f"the peer closed with an error ({code})")
