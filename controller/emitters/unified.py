"""The emitter that users are being moved to: the canary of the migration."""

from __future__ import annotations

from typing import Final, Self

from controller.emitters.events import UnifiedNotifications
from controller.emitters.manager import UnifiedWebSocketManager
from controller.emitters.receipts import EmitReceipt
from controller.emitters.types import EventData, UserExecutionContext

__all__ = ["UnifiedWebSocketEmitter"]

_VARIANT: Final = "unified"


class UnifiedWebSocketEmitter(UnifiedNotifications):
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

    def __init__(
        self,
        manager: UnifiedWebSocketManager,
        user_id: str,
        context: UserExecutionContext | None = None,
        performance_mode: bool = False,
    ) -> None:
        if not user_id or not user_id.strip():
            raise ValueError("user_id must be a non-empty string: pass the authenticated user")
        if context is not None and context.user_id != user_id:
            raise ValueError(f"user_id {user_id!r} contradicts context.user_id {context.user_id!r}: pass the same user")
        self.manager = manager
        self.user_id = user_id
        self.context = context
        self.performance_mode = performance_mode
        self._run_id = context.run_id if context else None
        self._thread_id = context.thread_id if context else None
        self._identity: EventData = {"user_id": user_id}
        if context is not None:
            self._identity |= {
                "run_id": context.run_id,
                "thread_id": context.thread_id,
                "request_id": context.request_id,
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
