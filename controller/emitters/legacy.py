"""The emitters that users move away from, over the same manager: the control of the migration.

Envelopes, argument orders and sanitising are those that clients and callers have today. Only the way to the socket is
shared with the unified emitter, so that both arms are measured at one place and nothing but the thing under test
differs. The one addition is `event_id` in the bridge's envelope.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from controller.emitters.calls import BridgeCalls, FactoryCalls
from controller.emitters.envelopes import Event
from controller.emitters.events import CriticalEmits
from controller.emitters.manager import UnifiedWebSocketManager
from controller.emitters.payloads import flat
from controller.emitters.receipts import EmitReceipt
from controller.emitters.sanitise import sanitised
from controller.emitters.types import EventData, UserExecutionContext, as_context

__all__ = ["LegacyBridgeEmitter", "LegacyFactoryEmitter", "bridge_envelope", "factory_envelope"]

_VARIANT: Final = "legacy"
#: The legacy names of what the unified form calls otherwise.
_BRIDGE_NAMES: Final = {"thought": "reasoning", "tool": "tool_name"}
_FACTORY_NAMES: Final = {"thought": "thinking", "tool": "tool_name", "parameters": "tool_input"}
_FACTORY_TOOL_COMPLETED: Final = {**_FACTORY_NAMES, "result": "tool_output"}


def bridge_envelope(agent_name: str, event: Event, trace: Any = None) -> Mapping[str, Any]:
    """The agent bridge's form: {type, event_id, run_id, user_id, agent_name, timestamp, payload [, trace]}."""
    envelope = {
        "type": event.event_type,
        "event_id": event.event_id,
        "run_id": event.run_id,
        "user_id": event.user_id,
        "agent_name": agent_name,
        "timestamp": event.timestamp,
        "payload": event.data,
    }
    if trace is not None:
        envelope["trace"] = trace
    return envelope


def factory_envelope(event: Event) -> Mapping[str, Any]:
    """The bridge factory's form: {event_type, event_id, thread_id, data, timestamp}."""
    return {
        "event_type": event.event_type,
        "event_id": event.event_id,
        "thread_id": event.thread_id,
        "data": event.data,
        "timestamp": event.timestamp,
    }


class _LegacyEmitter(CriticalEmits):
    """What both have: a manager and a context."""

    def __init__(self, manager: UnifiedWebSocketManager, user_context: UserExecutionContext) -> None:
        self.manager = manager
        self.context = as_context(user_context)

    @property
    def user_id(self) -> str:
        """Who receives the events."""
        return self.context.user_id

    @property
    def variant(self) -> str:
        """The arm that this emitter's deliveries count for."""
        return _VARIANT

    def _timestamp(self) -> str:
        return self.manager.timestamp()


class LegacyBridgeEmitter(_LegacyEmitter, BridgeCalls):
    """One run's events in the form of AgentWebSocketBridge and its WebSocketEventEmitter."""

    async def emit(self, event_type: str, data: EventData) -> EmitReceipt:
        """Send an event of any type: `agent_name` goes to the envelope, the rest becomes the payload, sanitised."""
        payload = flat(event_type, data, _BRIDGE_NAMES)
        agent_name, trace = str(payload.pop("agent_name", "")), payload.pop("trace", None)
        return await self.manager.emit_critical_event(
            self.context.user_id,
            event_type,
            sanitised(payload),
            run_id=self.context.run_id,
            thread_id=self.context.thread_id,
            variant=_VARIANT,
            envelope=partial(bridge_envelope, agent_name, trace=trace),
        )

    def _refusal(self, event_type: str, run_id: str) -> EmitReceipt | None:
        own = self.context.run_id
        if run_id == own:
            return None
        return self.manager.refuse_event(
            self.user_id,
            event_type,
            f"run_id {run_id!r} is not this emitter's {own!r}",
            run_id=own,
            thread_id=self.context.thread_id,
            variant=_VARIANT,
        )


class LegacyFactoryEmitter(_LegacyEmitter, FactoryCalls):
    """One user's events in the form of WebSocketBridgeFactory and its UserWebSocketEmitter.

    They go to the socket that the context names, as they did; to every socket of the user when that one is not open.
    Queue and retries of the original are not imitated: it dropped the oldest event uncounted, and its first error
    marked the connection as closed, so that no retry could succeed.
    """

    async def emit(self, event_type: str, data: EventData) -> EmitReceipt:
        """Send an event of any type, sanitised."""
        return await self.emit_for_run(None, event_type, data)

    async def emit_for_run(self, run_id: str | None, event_type: str, data: EventData) -> EmitReceipt:
        """The same for a run that the caller names."""
        context = self.context
        run = run_id or context.run_id
        names = _FACTORY_TOOL_COMPLETED if event_type == "tool_completed" else _FACTORY_NAMES
        return await self.manager.emit_critical_event(
            context.user_id,
            event_type,
            {**sanitised(flat(event_type, data, names)), "run_id": run},
            run_id=run,
            thread_id=context.thread_id,
            variant=_VARIANT,
            envelope=factory_envelope,
            connection_id=context.connection_id,
        )
