"""The WebSocket emitters: both arms of the migration over one manager, measured at one place.

manager = UnifiedWebSocketManager()
router = EmitterRouter(openfeature.api.get_client(), manager)
connect(manager.recorder, router, reporter)                 # report to the controller
...
emitter = router.emitter_for(UserExecutionContext(user_id, thread_id))
await emitter.emit_agent_started({"agent_name": "planner"})
"""

from controller.emitters.attempts import AttemptClaim, carrying, current_attempt
from controller.emitters.counters import Cell, RecorderCounters
from controller.emitters.envelopes import Envelope, Event, UnsendableEventError, unified_envelope
from controller.emitters.events import RunEmitter
from controller.emitters.legacy import LegacyBridgeEmitter, bridge_envelope
from controller.emitters.manager import MessageHandler, UnifiedWebSocketManager
from controller.emitters.outcomes import (
    OUTCOME_CLASS,
    Assignment,
    DeliveryAttempt,
    DeliveryOutcome,
    DeliveryStatus,
    OutcomeClass,
)
from controller.emitters.receipts import EmitReceipt, OpenAttempt
from controller.emitters.recorder import DeliveryListener, DeliveryRecorder
from controller.emitters.registry import ConnectionHealth, ConnectionLimitError
from controller.emitters.reporting import ReporterListener, connect
from controller.emitters.routed import RoutedEmitter
from controller.emitters.router import EmitterFactory, EmitterRouter
from controller.emitters.runs import RunObserver
from controller.emitters.types import (
    AUTH_EVENTS,
    CRITICAL_EVENTS,
    EventData,
    InvalidContextError,
    UserExecutionContext,
)
from controller.emitters.unified import UnifiedWebSocketEmitter

__all__ = [
    "AUTH_EVENTS",
    "CRITICAL_EVENTS",
    "OUTCOME_CLASS",
    "Assignment",
    "AttemptClaim",
    "Cell",
    "ConnectionHealth",
    "ConnectionLimitError",
    "DeliveryAttempt",
    "DeliveryListener",
    "DeliveryOutcome",
    "DeliveryRecorder",
    "DeliveryStatus",
    "EmitReceipt",
    "EmitterFactory",
    "EmitterRouter",
    "Envelope",
    "Event",
    "EventData",
    "InvalidContextError",
    "LegacyBridgeEmitter",
    "MessageHandler",
    "OpenAttempt",
    "OutcomeClass",
    "RecorderCounters",
    "ReporterListener",
    "RoutedEmitter",
    "RunEmitter",
    "RunObserver",
    "UnifiedWebSocketEmitter",
    "UnifiedWebSocketManager",
    "UnsendableEventError",
    "UserExecutionContext",
    "bridge_envelope",
    "carrying",
    "connect",
    "current_attempt",
    "unified_envelope",
]
