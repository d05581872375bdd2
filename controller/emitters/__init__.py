"""The WebSocket emitters: both arms of the migration over one manager, measured at one place.

manager = UnifiedWebSocketManager()
router = EmitterRouter(openfeature.api.get_client(), manager)
connect(manager.recorder, router, reporter)                 # report to the controller
...
emitter = router.emitter_for(UserExecutionContext(user_id, thread_id))
await emitter.emit_agent_started({"agent_name": "planner"})

docs/migration.md shows the way from each of the legacy emitters.
"""

from controller.emitters.asgi import AsgiSocket
from controller.emitters.attempts import AttemptClaim, carrying, current_attempt
from controller.emitters.browser import browser_client
from controller.emitters.calls import CallForm
from controller.emitters.counters import Cell, RecorderCounters
from controller.emitters.endings import Ending, SocketEndedError
from controller.emitters.envelopes import Envelope, Event, UnsendableEventError, unified_envelope
from controller.emitters.events import RunEmitter
from controller.emitters.exports import OutcomeBatches
from controller.emitters.factories import AgentWebSocketBridge, WebSocketBridgeFactory, default_manager
from controller.emitters.legacy import LegacyBridgeEmitter, LegacyFactoryEmitter, bridge_envelope, factory_envelope
from controller.emitters.manager import UnifiedWebSocketManager
from controller.emitters.migration import SessionMigration
from controller.emitters.monitor import GoldenPathAlert, GoldenPathMonitor
from controller.emitters.names import UserWebSocketEmitter, WebSocketEventEmitter
from controller.emitters.observers import RunObserver
from controller.emitters.outcomes import (
    OUTCOME_CLASS,
    Assignment,
    DeliveryAttempt,
    DeliveryOutcome,
    DeliveryStatus,
    OutcomeClass,
)
from controller.emitters.protocols import WebSocketEmitterClass, WebSocketEmitterFactory
from controller.emitters.receipts import EmitReceipt, OpenAttempt
from controller.emitters.recorder import DeliveryListener, DeliveryRecorder
from controller.emitters.registry import ConnectionHealth, ConnectionLimitError, ConnectionNameError
from controller.emitters.reporting import ReporterListener, connect
from controller.emitters.rollouts import RolloutEmitterFactory
from controller.emitters.routed import RoutedBridgeEmitter, RoutedEmitter, RoutedFactoryEmitter
from controller.emitters.router import EmitterFactory, EmitterRouter
from controller.emitters.serving import MessageHandler
from controller.emitters.shutdown import ShutdownReport, shut_down
from controller.emitters.sockets import AcceptedSocket, EventSocket
from controller.emitters.testing import SSotMockFactory
from controller.emitters.tracker import IncompleteRun, OrderViolation, RunEnd, RunTracker, RunTrackerCounters
from controller.emitters.types import (
    AUTH_EVENTS,
    CRITICAL_EVENTS,
    PROGRESS_EVENTS,
    EventData,
    InvalidContextError,
    UserExecutionContext,
)
from controller.emitters.unified import (
    AuthenticationWebSocketEmitter,
    AuthenticationWebSocketError,
    AuthMetrics,
    UnifiedWebSocketEmitter,
)
from controller.emitters.validation import InterfaceReport, contract_table, validate_websocket_interfaces

__all__ = [
    "AUTH_EVENTS",
    "CRITICAL_EVENTS",
    "OUTCOME_CLASS",
    "PROGRESS_EVENTS",
    "AcceptedSocket",
    "AgentWebSocketBridge",
    "AsgiSocket",
    "Assignment",
    "AttemptClaim",
    "AuthMetrics",
    "AuthenticationWebSocketEmitter",
    "AuthenticationWebSocketError",
    "CallForm",
    "Cell",
    "ConnectionHealth",
    "ConnectionLimitError",
    "ConnectionNameError",
    "DeliveryAttempt",
    "DeliveryListener",
    "DeliveryOutcome",
    "DeliveryRecorder",
    "DeliveryStatus",
    "EmitReceipt",
    "EmitterFactory",
    "EmitterRouter",
    "Ending",
    "Envelope",
    "Event",
    "EventData",
    "EventSocket",
    "GoldenPathAlert",
    "GoldenPathMonitor",
    "IncompleteRun",
    "InterfaceReport",
    "InvalidContextError",
    "LegacyBridgeEmitter",
    "LegacyFactoryEmitter",
    "MessageHandler",
    "OpenAttempt",
    "OrderViolation",
    "OutcomeBatches",
    "OutcomeClass",
    "RecorderCounters",
    "ReporterListener",
    "RolloutEmitterFactory",
    "RoutedBridgeEmitter",
    "RoutedEmitter",
    "RoutedFactoryEmitter",
    "RunEmitter",
    "RunEnd",
    "RunObserver",
    "RunTracker",
    "RunTrackerCounters",
    "SSotMockFactory",
    "SessionMigration",
    "ShutdownReport",
    "SocketEndedError",
    "UnifiedWebSocketEmitter",
    "UnifiedWebSocketManager",
    "UnsendableEventError",
    "UserExecutionContext",
    "UserWebSocketEmitter",
    "WebSocketBridgeFactory",
    "WebSocketEmitterClass",
    "WebSocketEmitterFactory",
    "WebSocketEventEmitter",
    "bridge_envelope",
    "browser_client",
    "carrying",
    "connect",
    "contract_table",
    "current_attempt",
    "default_manager",
    "factory_envelope",
    "shut_down",
    "unified_envelope",
    "validate_websocket_interfaces",
]
