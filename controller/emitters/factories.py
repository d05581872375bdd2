"""The two factories of the legacy systems, in the unified signature that takes the legacy calls as well."""

from __future__ import annotations

from functools import cache
from typing import Any

from controller.emitters.manager import UnifiedWebSocketManager
from controller.emitters.types import UserExecutionContext, as_context
from controller.emitters.unified import AuthenticationWebSocketEmitter, UnifiedWebSocketEmitter

__all__ = ["AgentWebSocketBridge", "WebSocketBridgeFactory", "context_of_call", "default_manager"]

_NEITHER = "Either user_context or (user_id + thread_id) required"


@cache
def default_manager() -> UnifiedWebSocketManager:
    """The manager of this process: what a factory uses that was given none. Made at the first need, without a loop.

    It has to own the sockets: serve them with `default_manager().serve_connection(...)`, or pass your own manager.
    """
    return UnifiedWebSocketManager()


def context_of_call(
    user_context: UserExecutionContext | str | None = None,
    user_id: str | None = None,
    thread_id: str | None = None,
    connection_id: str | None = None,
) -> UserExecutionContext:
    """The context that a call of `create_user_emitter` means, in its unified and in both its legacy forms.

    A string in the first place is a legacy positional call, (user_id, thread_id, connection_id): everything shifts by
    one. With a context the other arguments are not needed; the context wins.

    Raises:
        ValueError: neither a context nor user_id and thread_id; or a user_id that contradicts the context.
    """
    if isinstance(user_context, str):
        if user_id is not None:
            thread_id, connection_id = user_id, thread_id or connection_id
        user_context, user_id = None, user_context
    if user_context is not None:
        context = as_context(user_context)
        if user_id is not None and user_id != context.user_id:
            raise ValueError(f"user_id {user_id!r} contradicts user_context.user_id {context.user_id!r}: leave it out")
        return context
    if not (user_id and thread_id):
        raise ValueError(_NEITHER)
    return UserExecutionContext(user_id, thread_id, connection_id=connection_id or f"conn_{user_id}_{thread_id}")


class _Factory:
    """What both have: a manager, and the two ways to make an emitter."""

    def __init__(
        self, manager: UnifiedWebSocketManager | None, user_context: UserExecutionContext | None = None
    ) -> None:
        self._manager = manager
        #: Whose emitter is made when a call names nobody.
        self.user_context = user_context

    @property
    def manager(self) -> UnifiedWebSocketManager:
        """Where the emitters send: the given manager, or the one of this process."""
        if self._manager is None:
            self._manager = default_manager()
        return self._manager

    async def create_user_emitter(
        self,
        user_context: UserExecutionContext | None = None,
        user_id: str | None = None,
        thread_id: str | None = None,
        connection_id: str | None = None,
    ) -> UnifiedWebSocketEmitter:
        """The emitter of one run, from a context or from (user_id, thread_id, connection_id), by position too.

        Raises:
            ValueError: neither was given, or the two contradict each other.
        """
        if user_context is None and user_id is None and thread_id is None:
            user_context = self.user_context
        context = context_of_call(user_context, user_id, thread_id, connection_id)
        return UnifiedWebSocketEmitter.create_user_emitter(self.manager, context)

    async def create_auth_emitter(
        self, user_id: str, context: UserExecutionContext | None = None
    ) -> AuthenticationWebSocketEmitter:
        """The emitter of one user's signing in."""
        return UnifiedWebSocketEmitter.create_auth_emitter(self.manager, user_id, context)


class WebSocketBridgeFactory(_Factory):
    """The factory whose legacy call was `create_user_emitter(user_id, thread_id, connection_id)`.

    Args:
        config: accepted for compatibility; the bounds are the manager's.
        manager: owns the sockets; the one of this process when not given.
    """

    def __init__(self, config: Any = None, *, manager: UnifiedWebSocketManager | None = None) -> None:
        super().__init__(manager)
        self.config = config

    def configure(self, *_: Any, **__: Any) -> None:
        """Accepted for compatibility: nothing has to be configured before the first emitter any more."""


class AgentWebSocketBridge(_Factory):
    """The bridge whose legacy call was `create_user_emitter(user_context)`.

    Args:
        user_context: whose emitter is made when a call names nobody.
        manager: owns the sockets; the one of this process when not given.
    """

    def __init__(
        self, user_context: UserExecutionContext | None = None, *, manager: UnifiedWebSocketManager | None = None
    ) -> None:
        super().__init__(manager, user_context)
