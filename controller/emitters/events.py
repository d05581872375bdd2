"""The five emits, once, for every emitter that has them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, Protocol

from controller.emitters import payloads
from controller.emitters.receipts import EmitReceipt
from controller.emitters.types import EventData

__all__ = ["EMIT_METHODS", "CriticalEmits", "RunEmitter"]

#: The method that emits each critical event.
EMIT_METHODS: Final = {
    "agent_started": "emit_agent_started",
    "agent_thinking": "emit_agent_thinking",
    "tool_executing": "emit_tool_executing",
    "tool_completed": "emit_tool_completed",
    "agent_completed": "emit_agent_completed",
}


class RunEmitter(Protocol):
    """What a router needs of an emitter: the five critical events. What they return is looked at for its truth only."""

    async def emit_agent_started(self, data: EventData) -> object:
        """A run has begun."""

    async def emit_agent_thinking(self, data: EventData) -> object:
        """What the agent considers."""

    async def emit_tool_executing(self, data: EventData) -> object:
        """A tool has been called."""

    async def emit_tool_completed(self, data: EventData) -> object:
        """A tool has answered."""

    async def emit_agent_completed(self, data: EventData) -> object:
        """The answer is ready."""


class CriticalEmits(ABC):
    """The five critical emits, each as (data) or (name, data). The receipt is true when the event was accepted."""

    @abstractmethod
    async def emit(self, event_type: str, data: EventData) -> EmitReceipt:
        """Send an event of any type."""

    @abstractmethod
    def _timestamp(self) -> str:
        """Now, in the form that events carry."""

    async def emit_agent_started(self, data: str | EventData, more: EventData | None = None) -> EmitReceipt:
        """A run has begun: the user sees that the agent works."""
        return await self.emit("agent_started", payloads.named("agent_started", data, more))

    async def emit_agent_thinking(self, data: str | EventData, more: EventData | None = None) -> EmitReceipt:
        """What the agent considers."""
        return await self.emit("agent_thinking", payloads.named("agent_thinking", data, more))

    async def emit_tool_executing(self, data: str | EventData, more: EventData | None = None) -> EmitReceipt:
        """A tool has been called."""
        return await self.emit("tool_executing", payloads.named("tool_executing", data, more))

    async def emit_tool_completed(self, data: str | EventData, more: EventData | None = None) -> EmitReceipt:
        """A tool has answered."""
        return await self.emit("tool_completed", payloads.named("tool_completed", data, more))

    async def emit_agent_completed(self, data: str | EventData, more: EventData | None = None) -> EmitReceipt:
        """The answer is ready, and the run is over."""
        return await self.emit("agent_completed", payloads.named("agent_completed", data, more))
