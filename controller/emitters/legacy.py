"""The emitter that users move away from, over the same manager: the control of the migration.

Envelope, argument order, return and sanitising are those that clients and callers of the agent bridge have today. Only
the way to the socket is shared with the unified emitter, so that both arms are measured at one place and nothing but
the thing under test differs. The one addition is `event_id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from controller.emitters.envelopes import Event
from controller.emitters.events import CriticalEmits
from controller.emitters.manager import UnifiedWebSocketManager
from controller.emitters.receipts import EmitReceipt
from controller.emitters.sanitise import sanitised
from controller.emitters.types import EventData, UserExecutionContext

__all__ = ["LegacyBridgeEmitter", "bridge_envelope"]

_VARIANT: Final = "legacy"
#: Which data of the canonical emits becomes which field of the bridge's payload.
_PAYLOAD_NAMES: Final = {"thought": "reasoning", "tool": "tool_name"}
#: Written by the envelope or by nobody: the bridge's payload never held them.
_ENVELOPE_NAMES: Final = frozenset({"agent_name", "timestamp", "run_id", "thread_id", "user_id", "event_id"})


def bridge_envelope(agent_name: str, event: Event) -> Mapping[str, Any]:
    """The agent bridge's form: {type, event_id, run_id, user_id, agent_name, timestamp, payload}."""
    return {
        "type": event.event_type,
        "event_id": event.event_id,
        "run_id": event.run_id,
        "user_id": event.user_id,
        "agent_name": agent_name,
        "timestamp": event.timestamp,
        "payload": event.data,
    }


class LegacyBridgeEmitter(CriticalEmits):
    """One run's events in the agent bridge's form.

    The notifications take (run_id, agent_name, ...), the order of the bridge, and refuse a run id that is not the
    context's: the receipt is false and the outcome `rejected`.
    """

    def __init__(self, manager: UnifiedWebSocketManager, user_context: UserExecutionContext) -> None:
        self.manager = manager
        self.context = user_context

    @property
    def user_id(self) -> str:
        """Who receives the events."""
        return self.context.user_id

    @property
    def variant(self) -> str:
        """The arm that this emitter's deliveries count for."""
        return _VARIANT

    async def emit(self, event_type: str, data: EventData) -> EmitReceipt:
        """Send an event of any type: `agent_name` goes to the envelope, the rest becomes the payload, sanitised."""
        payload = {_PAYLOAD_NAMES.get(name, name): value for name, value in data.items() if name not in _ENVELOPE_NAMES}
        return await self._send(event_type, str(data.get("agent_name", "")), sanitised(payload))

    async def notify_agent_started(
        self, run_id: str, agent_name: str, context: Mapping[str, Any] | None = None
    ) -> EmitReceipt:
        """A run has begun."""
        return await self._notify("agent_started", run_id, agent_name, {"status": "started", "context": context})

    async def notify_agent_thinking(
        self,
        run_id: str,
        agent_name: str,
        reasoning: str,
        step_number: int | None = None,
        progress_percentage: float | None = None,
    ) -> EmitReceipt:
        """What the agent considers."""
        payload = {"reasoning": reasoning, "step_number": step_number, "progress_percentage": progress_percentage}
        return await self._notify("agent_thinking", run_id, agent_name, payload)

    async def notify_tool_executing(
        self, run_id: str, agent_name: str, tool_name: str, parameters: Mapping[str, Any] | None = None
    ) -> EmitReceipt:
        """A tool has been called."""
        payload = {"tool_name": tool_name, "parameters": parameters, "status": "executing"}
        return await self._notify("tool_executing", run_id, agent_name, payload)

    async def notify_tool_completed(
        self,
        run_id: str,
        agent_name: str,
        tool_name: str,
        result: Any = None,
        execution_time_ms: float | None = None,
    ) -> EmitReceipt:
        """A tool has answered; a result is cut at 10 000 characters."""
        payload = {
            "tool_name": tool_name,
            "result": result,
            "execution_time_ms": execution_time_ms,
            "status": "completed",
        }
        return await self._notify("tool_completed", run_id, agent_name, payload)

    async def notify_agent_completed(
        self, run_id: str, agent_name: str, result: Any = None, execution_time_ms: float | None = None
    ) -> EmitReceipt:
        """The answer is ready; a result is cut at 10 000 characters."""
        payload = {"result": result, "execution_time_ms": execution_time_ms, "status": "completed"}
        return await self._notify("agent_completed", run_id, agent_name, payload)

    async def _notify(self, event_type: str, run_id: str, agent_name: str, payload: EventData) -> EmitReceipt:
        if run_id != self.context.run_id:
            return self.manager.refuse_event(
                self.user_id,
                event_type,
                f"run_id {run_id!r} is not this emitter's {self.context.run_id!r}",
                run_id=self.context.run_id,
                thread_id=self.context.thread_id,
                variant=_VARIANT,
            )
        given = {name: value for name, value in payload.items() if value is not None}
        return await self._send(event_type, agent_name, sanitised(given))

    async def _send(self, event_type: str, agent_name: str, payload: EventData) -> EmitReceipt:
        return await self.manager.emit_critical_event(
            self.context.user_id,
            event_type,
            payload,
            run_id=self.context.run_id,
            thread_id=self.context.thread_id,
            variant=_VARIANT,
            envelope=partial(bridge_envelope, agent_name),
        )
