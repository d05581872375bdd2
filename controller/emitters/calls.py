"""How callers speak: the notifications in the argument orders of the unified emitter and of the two legacy ones.

All three build the same data and emit them, so that a caller's way to call and the form on the wire are chosen apart:
code written for a legacy emitter can be carried by either arm of a rollout.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from controller.emitters import payloads
from controller.emitters.events import CriticalEmits
from controller.emitters.payloads import given
from controller.emitters.receipts import EmitReceipt
from controller.emitters.types import EventData

__all__ = ["BridgeCalls", "CallForm", "FactoryCalls", "UnifiedCalls"]

_Mapping = Mapping[str, Any] | None


class CallForm(StrEnum):
    """Whose argument order callers use."""

    #: notify_agent_started(agent_name, metadata...)
    UNIFIED = "unified"
    #: notify_agent_started(run_id, agent_name, ...), as AgentWebSocketBridge and its WebSocketEventEmitter had it.
    BRIDGE = "bridge"
    #: notify_agent_started(agent_name, run_id, ...), as WebSocketBridgeFactory's UserWebSocketEmitter had it.
    FACTORY = "factory"


class UnifiedCalls(CriticalEmits):
    """Notifications in the unified emitter's argument order."""

    async def notify_agent_started(
        self, agent_name: str, metadata: _Mapping = None, context: _Mapping = None
    ) -> EmitReceipt:
        """A run has begun; `context` is added to the metadata."""
        merged = {**(metadata or {}), **given(context=dict(context) if context else None)}
        return await self.emit_agent_started(payloads.agent_started(agent_name, merged, self._timestamp()))

    async def notify_agent_thinking(
        self,
        agent_name: str,
        reasoning: str | None = None,
        thought: str | None = None,
        step_number: int | None = None,
        metadata: _Mapping = None,
    ) -> EmitReceipt:
        """What the agent considers: `thought`, or else `reasoning`. Name and step travel in the metadata."""
        extra = given(agent_name=agent_name, step_number=step_number)
        payload = payloads.agent_thinking(thought or reasoning or "", {**(metadata or {}), **extra}, self._timestamp())
        return await self.emit_agent_thinking(payload)

    async def notify_tool_executing(self, tool_name: str, metadata: _Mapping = None) -> EmitReceipt:
        """A tool has been called."""
        return await self.emit_tool_executing(payloads.tool_executing(tool_name, metadata, self._timestamp()))

    async def notify_tool_completed(self, tool_name: str, metadata: _Mapping = None) -> EmitReceipt:
        """A tool has answered."""
        return await self.emit_tool_completed(payloads.tool_completed(tool_name, metadata, self._timestamp()))

    async def notify_agent_completed(
        self, agent_name: str, metadata: _Mapping = None, result: Any = None, execution_time_ms: float | None = None
    ) -> EmitReceipt:
        """The answer is ready. Result and duration travel in the metadata."""
        extra = given(result=result, execution_time_ms=execution_time_ms)
        payload = payloads.agent_completed(agent_name, {**(metadata or {}), **extra}, self._timestamp())
        return await self.emit_agent_completed(payload)

    async def notify_agent_error(self, agent_name: str, error: str, metadata: _Mapping = None) -> EmitReceipt:
        """The run has ended without an answer."""
        return await self.emit("agent_error", payloads.agent_error(agent_name, error, metadata, self._timestamp()))

    async def notify_progress_update(self, metadata: _Mapping = None) -> EmitReceipt:
        """How far the agent has got. Newer progress replaces older progress that still waits to be sent."""
        return await self.emit("progress_update", payloads.progress_update(metadata, self._timestamp()))

    async def notify_custom(self, event_type: str, data: EventData) -> EmitReceipt:
        """An event of the application's own."""
        return await self.emit(event_type, data)


class BridgeCalls(CriticalEmits):
    """Notifications in the agent bridge's argument order: (run_id, agent_name, ...).

    A run id that is not this emitter's is refused, as the bridge did: the receipt is false, the outcome `rejected`.
    """

    @abstractmethod
    def _refusal(self, event_type: str, run_id: str) -> EmitReceipt | None:
        """Record a refusal when the run id is somebody else's."""

    async def notify_agent_started(
        self, run_id: str, agent_name: str, context: _Mapping = None, trace_context: _Mapping = None
    ) -> EmitReceipt:
        """A run has begun."""
        metadata = given(context=context, trace=trace_context)
        return await self._bridged(
            "agent_started", run_id, payloads.agent_started(agent_name, metadata, self._timestamp())
        )

    async def notify_agent_thinking(
        self,
        run_id: str,
        agent_name: str,
        reasoning: str,
        step_number: int | None = None,
        progress_percentage: float | None = None,
        trace_context: _Mapping = None,
    ) -> EmitReceipt:
        """What the agent considers."""
        metadata = given(step_number=step_number, progress_percentage=progress_percentage, trace=trace_context)
        payload = payloads.agent_thinking(reasoning, {"agent_name": agent_name, **metadata}, self._timestamp())
        return await self._bridged("agent_thinking", run_id, payload)

    async def notify_tool_executing(
        self,
        run_id: str,
        agent_name: str,
        tool_name: str,
        parameters: _Mapping = None,
        trace_context: _Mapping = None,
    ) -> EmitReceipt:
        """A tool has been called."""
        metadata = {"agent_name": agent_name, **given(parameters=parameters, trace=trace_context)}
        return await self._bridged(
            "tool_executing", run_id, payloads.tool_executing(tool_name, metadata, self._timestamp())
        )

    async def notify_tool_completed(
        self,
        run_id: str,
        agent_name: str,
        tool_name: str,
        result: Any = None,
        execution_time_ms: float | None = None,
        trace_context: _Mapping = None,
    ) -> EmitReceipt:
        """A tool has answered; the legacy form cuts a result at 10 000 characters."""
        said = given(result=result, execution_time_ms=execution_time_ms, trace=trace_context)
        payload = payloads.tool_completed(tool_name, {"agent_name": agent_name, **said}, self._timestamp())
        return await self._bridged("tool_completed", run_id, payload)

    async def notify_agent_completed(
        self,
        run_id: str,
        agent_name: str,
        result: Any = None,
        execution_time_ms: float | None = None,
        trace_context: _Mapping = None,
    ) -> EmitReceipt:
        """The answer is ready; the legacy form cuts a result at 10 000 characters."""
        metadata = given(result=result, execution_time_ms=execution_time_ms, trace=trace_context)
        return await self._bridged(
            "agent_completed", run_id, payloads.agent_completed(agent_name, metadata, self._timestamp())
        )

    async def notify_agent_error(
        self, run_id: str, agent_name: str, error: str, error_context: _Mapping = None, trace_context: _Mapping = None
    ) -> EmitReceipt:
        """The run has ended without an answer."""
        metadata = given(error_context=error_context, trace=trace_context)
        payload = payloads.agent_error(agent_name, error, metadata, self._timestamp())
        return await self._bridged("agent_error", run_id, payload)

    async def notify_progress_update(self, run_id: str, agent_name: str, progress: Mapping[str, Any]) -> EmitReceipt:
        """How far the agent has got."""
        payload = payloads.progress_update({"agent_name": agent_name, **progress}, self._timestamp())
        return await self._bridged("progress_update", run_id, payload)

    async def notify_custom(self, run_id: str, agent_name: str, notification_type: str, data: EventData) -> EmitReceipt:
        """An event of the application's own."""
        return await self._bridged(notification_type, run_id, {"agent_name": agent_name, **data})

    async def _bridged(self, event_type: str, run_id: str, data: EventData) -> EmitReceipt:
        refused = self._refusal(event_type, run_id)
        return await self.emit(event_type, data) if refused is None else refused


class FactoryCalls(CriticalEmits):
    """Notifications in the bridge factory's argument order: (agent_name, run_id, ...); any run id is taken."""

    @abstractmethod
    async def emit_for_run(self, run_id: str | None, event_type: str, data: EventData) -> EmitReceipt:
        """Send an event of this run; None means the run that the emitter was made for."""

    async def notify_agent_started(self, agent_name: str, run_id: str) -> EmitReceipt:
        """A run has begun."""
        return await self.emit_for_run(
            run_id, "agent_started", payloads.agent_started(agent_name, None, self._timestamp())
        )

    async def notify_agent_thinking(self, agent_name: str, run_id: str, thinking: str) -> EmitReceipt:
        """What the agent considers."""
        payload = payloads.agent_thinking(thinking, {"agent_name": agent_name}, self._timestamp())
        return await self.emit_for_run(run_id, "agent_thinking", payload)

    async def notify_tool_executing(
        self, agent_name: str, run_id: str, tool_name: str, tool_input: _Mapping = None
    ) -> EmitReceipt:
        """A tool has been called."""
        metadata = {"agent_name": agent_name, **given(parameters=tool_input)}
        payload = payloads.tool_executing(tool_name, metadata, self._timestamp())
        return await self.emit_for_run(run_id, "tool_executing", payload)

    async def notify_tool_completed(
        self, agent_name: str, run_id: str, tool_name: str, tool_output: Any = None
    ) -> EmitReceipt:
        """A tool has answered; the legacy form cuts an output at 10 000 characters."""
        metadata = {"agent_name": agent_name, **given(result=tool_output)}
        payload = payloads.tool_completed(tool_name, metadata, self._timestamp())
        return await self.emit_for_run(run_id, "tool_completed", payload)

    async def notify_agent_completed(self, agent_name: str, run_id: str, result: Any = None) -> EmitReceipt:
        """The answer is ready."""
        payload = payloads.agent_completed(agent_name, given(result=result), self._timestamp())
        return await self.emit_for_run(run_id, "agent_completed", payload)

    async def notify_agent_error(self, agent_name: str, run_id: str, error: str) -> EmitReceipt:
        """The run has ended without an answer; the legacy form cuts an error at 300 characters."""
        payload = payloads.agent_error(agent_name, error, None, self._timestamp())
        return await self.emit_for_run(run_id, "agent_error", payload)
