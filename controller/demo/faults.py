"""The unified emitter with a fault that can be switched on while it runs: what a bad release looks like."""

from __future__ import annotations

from controller.demo.options import Fault
from controller.emitters import (
    DeliveryAttempt,
    EmitReceipt,
    EventData,
    OpenAttempt,
    UnifiedWebSocketEmitter,
    UnifiedWebSocketManager,
    UserExecutionContext,
)


class EmitterBrokeError(RuntimeError):
    """The unified emitter of this release fails on purpose."""


class Switch:
    """The fault in force in this process, and the emitters that obey it."""

    def __init__(self) -> None:
        self.fault = Fault.NONE

    def make_emitter(self, manager: UnifiedWebSocketManager, context: UserExecutionContext) -> UnifiedWebSocketEmitter:
        """The unified emitter of one run, as this release makes it."""
        emitter = FaultyEmitter.create_user_emitter(manager, context)
        emitter.switch = self
        return emitter


class FaultyEmitter(UnifiedWebSocketEmitter):
    """The real unified emitter, except where the switch says otherwise; its lies are those of a real bug."""

    switch: Switch

    async def emit(self, event_type: str, data: EventData) -> EmitReceipt:
        """Send the event, raise, or claim to have sent it."""
        fault = self.switch.fault
        if fault is Fault.ERROR:
            raise EmitterBrokeError(f"cannot emit {event_type}")
        if fault is Fault.DROP or (fault is Fault.ONE_TYPE and event_type == "tool_completed"):
            lie = DeliveryAttempt("never-sent", event_type, self.user_id, None, None, self.variant)
            return EmitReceipt(OpenAttempt(lie, 0.0, 0.0), accepted=True)
        return await super().emit(event_type, data)
