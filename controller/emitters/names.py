"""The names under which the unified emitter is known to code written for the legacy ones.

Identity aliases: `isinstance` and annotations go on working. They stand here because the emitter itself must not import
them.
"""

from __future__ import annotations

from controller.emitters.unified import UnifiedWebSocketEmitter

__all__ = ["UserWebSocketEmitter", "WebSocketEventEmitter"]

#: What WebSocketBridgeFactory returned.
UserWebSocketEmitter = UnifiedWebSocketEmitter
#: What AgentWebSocketBridge returned.
WebSocketEventEmitter = UnifiedWebSocketEmitter
