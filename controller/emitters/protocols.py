"""The two interfaces of the seed: what a factory of emitters offers, and what an emitter class offers."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from controller.emitters.types import UserExecutionContext
from controller.emitters.unified import AuthenticationWebSocketEmitter, UnifiedWebSocketEmitter

__all__ = ["WebSocketEmitterClass", "WebSocketEmitterFactory"]


@runtime_checkable
class WebSocketEmitterFactory(Protocol):
    """Makes emitters on a manager of its own; its calls are awaited."""

    async def create_user_emitter(
        self,
        user_context: UserExecutionContext | None = None,
        user_id: str | None = None,
        thread_id: str | None = None,
        connection_id: str | None = None,
    ) -> UnifiedWebSocketEmitter:
        """The emitter of one run."""
        ...


@runtime_checkable
class WebSocketEmitterClass(Protocol):
    """An emitter class that is its own factory; its calls are not awaited."""

    @classmethod
    def create_user_emitter(cls, manager: Any, user_context: UserExecutionContext) -> UnifiedWebSocketEmitter:
        """The emitter of one run."""
        ...

    @classmethod
    def create_auth_emitter(
        cls, manager: Any, user_id: str, context: UserExecutionContext | None = None
    ) -> AuthenticationWebSocketEmitter:
        """The emitter of one user's signing in."""
        ...
