"""The emitter that users are being moved to, the canary of the migration; and its subclass for signing in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from controller.emitters.calls import UnifiedCalls
from controller.emitters.manager import UnifiedWebSocketManager
from controller.emitters.receipts import EmitReceipt
from controller.emitters.types import AUTH_EVENTS, CRITICAL_EVENTS, EventData, UserExecutionContext, as_context

__all__ = [
    "AuthMetrics",
    "AuthenticationWebSocketEmitter",
    "AuthenticationWebSocketError",
    "UnifiedWebSocketEmitter",
]

_VARIANT: Final = "unified"


class UnifiedWebSocketEmitter(UnifiedCalls):
    """Emits one user's events through the manager. Makes no task and needs no running loop to be constructed.

    Args:
        manager: owns the sockets.
        user_id: who receives the events; nothing in an event's data changes that.
        context: the run; its ids are written into each event's data. Without one, events travel without run ids.
        performance_mode: accepted for compatibility. Emission never waits, retries or batches in time here, so there
            is nothing left for it to switch off.

    Raises:
        ValueError: `user_id` is blank, or contradicts the context.
    """

    CRITICAL_EVENTS: Final = CRITICAL_EVENTS
    AUTHENTICATION_CRITICAL_EVENTS: Final = AUTH_EVENTS

    def __init__(
        self,
        manager: UnifiedWebSocketManager,
        user_id: str,
        context: UserExecutionContext | None = None,
        performance_mode: bool = False,
    ) -> None:
        if not user_id or not user_id.strip():
            raise ValueError("user_id must be a non-empty string: pass the authenticated user")
        self.context = None if context is None else as_context(context)
        if self.context is not None and self.context.user_id != user_id:
            other = self.context.user_id
            raise ValueError(f"user_id {user_id!r} contradicts context.user_id {other!r}: pass the same user")
        self.manager = manager
        self.user_id = user_id
        self.performance_mode = performance_mode
        self._run_id = self.context.run_id if self.context else None
        self._thread_id = self.context.thread_id if self.context else None
        self._identity: EventData = {"user_id": user_id}
        if self.context is not None:
            self._identity |= {
                "run_id": self.context.run_id,
                "thread_id": self.context.thread_id,
                "request_id": self.context.request_id,
            }

    @classmethod
    def create_user_emitter(
        cls,
        manager: UnifiedWebSocketManager,
        user_context: UserExecutionContext,
        *,
        performance_mode: bool = False,
    ) -> Self:
        """The emitter of one run."""
        return cls(manager, user_context.user_id, user_context, performance_mode)

    @classmethod
    def create_auth_emitter(
        cls,
        manager: UnifiedWebSocketManager,
        user_id: str,
        context: UserExecutionContext | None = None,
    ) -> AuthenticationWebSocketEmitter:
        """The emitter of one user's signing in."""
        return AuthenticationWebSocketEmitter(manager, user_id, context)

    @property
    def variant(self) -> str:
        """The arm that this emitter's deliveries count for."""
        return _VARIANT

    async def emit(self, event_type: str, data: EventData) -> EmitReceipt:
        """Send an event of any type; the ids of the context override those in `data`, and None values are dropped."""
        payload = {name: value for name, value in data.items() if value is not None}
        payload.update(self._identity)
        return await self.manager.emit_critical_event(
            self.user_id, event_type, payload, run_id=self._run_id, thread_id=self._thread_id, variant=_VARIANT
        )

    def _timestamp(self) -> str:
        return self.manager.timestamp()


class AuthenticationWebSocketError(RuntimeError):
    """Signing in cannot go on over the socket: the user has no open connection."""


@dataclass(slots=True)
class AuthMetrics:
    """What became of one emitter's authentication events."""

    total: int = 0
    successful: int = 0
    failed: int = 0

    @property
    def delivery_rate(self) -> float:
        """Delivered events in per cent; 100.0 while there are none."""
        return 100.0 * self.successful / self.total if self.total else 100.0


class AuthenticationWebSocketEmitter(UnifiedWebSocketEmitter):
    """Emits the events of signing in, and says of each whether it was delivered: the next step depends on it.

    It waits for the proof of receipt, where the other emitters only say that an event is on its way.
    """

    def __init__(
        self,
        manager: UnifiedWebSocketManager,
        user_id: str,
        context: UserExecutionContext | None = None,
        performance_mode: bool = False,
    ) -> None:
        super().__init__(manager, user_id, context, performance_mode)
        self.auth_metrics = AuthMetrics()

    async def emit_auth_event(self, event_type: str, data: Mapping[str, Any]) -> bool:
        """Send an authentication event and wait for its outcome; True when it was delivered.

        Raises:
            ValueError: `event_type` is none of the four.
            AuthenticationWebSocketError: the user has no open connection. That counts as a failed event.
        """
        if event_type not in AUTH_EVENTS:
            raise ValueError(f"event_type must be one of {', '.join(AUTH_EVENTS)}, not {event_type!r}")
        self.auth_metrics.total += 1
        if not self.manager.is_connection_active(self.user_id):
            self.auth_metrics.failed += 1
            raise AuthenticationWebSocketError(f"{event_type}: the user has no open connection")
        receipt = await self.emit(event_type, dict(data))
        delivered = (await receipt.outcome()).delivered
        if delivered:
            self.auth_metrics.successful += 1
        else:
            self.auth_metrics.failed += 1
        return delivered

    @property
    def auth_delivery_rate(self) -> float:
        """Delivered authentication events in per cent."""
        return self.auth_metrics.delivery_rate
