"""What the unified emitter's notifications say: the `data` of each of the five events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.emitters.types import EventData

__all__ = ["agent_completed", "agent_started", "agent_thinking", "named", "tool_completed", "tool_executing"]

#: Which field a bare name goes into, for callers that write emit_agent_started("planner", {...}).
_NAME_FIELD: Final = {"tool_executing": "tool", "tool_completed": "tool"}

Metadata = Mapping[str, Any] | None


def named(event_type: str, subject: str | EventData, data: EventData | None) -> EventData:
    """Both ways to call an emit, (data) and (name, data), as one dictionary."""
    if isinstance(subject, str):
        return {_NAME_FIELD.get(event_type, "agent_name"): subject, **(data or {})}
    return subject


def agent_started(agent_name: str, metadata: Metadata, timestamp: str) -> EventData:
    """A run has begun."""
    return {"agent_name": agent_name, "metadata": dict(metadata or {}), "status": "started", "timestamp": timestamp}


def agent_thinking(thought: str, metadata: Metadata, timestamp: str) -> EventData:
    """What the agent considers."""
    return {"thought": thought, "metadata": dict(metadata or {}), "type": "reasoning", "timestamp": timestamp}


def tool_executing(tool: str, metadata: Metadata, timestamp: str) -> EventData:
    """A tool has been called."""
    return {"tool": tool, "metadata": dict(metadata or {}), "status": "executing", "timestamp": timestamp}


def tool_completed(tool: str, metadata: Metadata, timestamp: str) -> EventData:
    """A tool has answered."""
    return {"tool": tool, "metadata": dict(metadata or {}), "status": "completed", "timestamp": timestamp}


def agent_completed(agent_name: str, metadata: Metadata, timestamp: str) -> EventData:
    """The answer is ready."""
    return {"agent_name": agent_name, "metadata": dict(metadata or {}), "status": "completed", "timestamp": timestamp}
