"""What events say in the unified form, which all emitters take: the `data` of each notification.

What has no field of its own travels in `metadata`. The legacy emitters turn this form into theirs (`flat`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.emitters.types import CRITICAL_EVENTS, PROGRESS_EVENTS, RUN_ERROR, EventData

__all__ = [
    "agent_completed",
    "agent_error",
    "agent_started",
    "agent_thinking",
    "flat",
    "given",
    "named",
    "progress_update",
    "tool_completed",
    "tool_executing",
]

#: Which field a bare name goes into, for callers that write emit_agent_started("planner", {...}).
_NAME_FIELD: Final = {"tool_executing": "tool", "tool_completed": "tool"}
#: Events whose metadata are fields of their own in the legacy forms.
_FLAT_EVENTS: Final = frozenset({*CRITICAL_EVENTS, *PROGRESS_EVENTS, RUN_ERROR})
#: Written by the envelope or by nobody: the legacy payloads never held them.
_ENVELOPE_NAMES: Final = frozenset({"timestamp", "run_id", "thread_id", "user_id", "request_id", "event_id"})

Metadata = Mapping[str, Any] | None


def named(event_type: str, subject: str | EventData, data: EventData | None) -> EventData:
    """Both ways to call an emit, (data) and (name, data), as one dictionary."""
    if isinstance(subject, str):
        return {_NAME_FIELD.get(event_type, "agent_name"): subject, **(data or {})}
    return subject


def given(**values: Any) -> EventData:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


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


def agent_error(agent_name: str, error: str, metadata: Metadata, timestamp: str) -> EventData:
    """The run has ended without an answer."""
    data = {"agent_name": agent_name, "error": error, "metadata": dict(metadata or {})}
    return {**data, "status": "error", "timestamp": timestamp}


def progress_update(metadata: Metadata, timestamp: str) -> EventData:
    """How far the agent has got."""
    return {"metadata": dict(metadata or {}), "status": "progress", "timestamp": timestamp}


def flat(event_type: str, data: EventData, names: Mapping[str, str]) -> EventData:
    """The fields of a legacy payload: metadata beside the rest, under the names that this legacy form has for them."""
    fields = dict(data)
    if event_type in _FLAT_EVENTS and isinstance(fields.get("metadata"), (dict, Mapping)):
        fields = {**fields.pop("metadata"), **fields}
    if fields.get("type") == "reasoning":
        del fields["type"]
    return {names.get(name, name): value for name, value in fields.items() if name not in _ENVELOPE_NAMES}
