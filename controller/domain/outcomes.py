"""What can become of an attempt to deliver an event."""

from __future__ import annotations

from enum import StrEnum


class OutcomeClass(StrEnum):
    """The four final classes of an attempt.

    Delivered and failed (a time-out is a failure) make the success rate. Abandoned (the user left) and interrupted
    (our own process ended it) stay outside the rate and are compared between the arms instead.
    """

    DELIVERED = "delivered"
    FAILED = "failed"
    ABANDONED = "abandoned"
    INTERRUPTED = "interrupted"

    @property
    def in_rate(self) -> bool:
        """Whether this outcome is part of the success rate."""
        return self in (OutcomeClass.DELIVERED, OutcomeClass.FAILED)


class Arm(StrEnum):
    """The two sides that are compared at the same time on like traffic."""

    CONTROL = "control"
    CANARY = "canary"


#: The five events of an agent run that a chat product may never lose.
CRITICAL_EVENTS = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed")
