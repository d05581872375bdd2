"""The one line that changes: a factory in the place of the legacy one, whose emitters are carried by either arm."""

from __future__ import annotations

from controller.emitters.calls import CallForm
from controller.emitters.factories import context_of_call
from controller.emitters.routed import RoutedBridgeEmitter, RoutedEmitter, RoutedFactoryEmitter
from controller.emitters.router import EmitterRouter
from controller.emitters.types import UserExecutionContext
from controller.emitters.unified import AuthenticationWebSocketEmitter, UnifiedWebSocketEmitter

__all__ = ["RolloutEmitterFactory"]


class RolloutEmitterFactory:
    """Makes the emitters of a rollout, in the place of WebSocketBridgeFactory or AgentWebSocketBridge.

    It is called as they were, and its emitters are called as theirs were; which arm carries a run is the router's
    decision, run by run.

    Args:
        router: decides.
        calls: how the callers of the emitters speak: `factory` in the place of a WebSocketBridgeFactory, `bridge` in
            the place of an AgentWebSocketBridge.
    """

    def __init__(self, router: EmitterRouter, calls: CallForm | str = CallForm.UNIFIED) -> None:
        self.router = router
        self.calls = CallForm(calls)

    async def create_user_emitter(
        self,
        user_context: UserExecutionContext | None = None,
        user_id: str | None = None,
        thread_id: str | None = None,
        connection_id: str | None = None,
    ) -> RoutedEmitter | RoutedBridgeEmitter | RoutedFactoryEmitter:
        """The emitter of one run, from a context or from (user_id, thread_id, connection_id), by position too.

        Raises:
            ValueError: neither was given, or the two contradict each other.
        """
        context = context_of_call(user_context, user_id, thread_id, connection_id)
        if self.calls is CallForm.FACTORY:
            return self.router.factory_emitter_for(context)
        if self.calls is CallForm.BRIDGE:
            return self.router.bridge_emitter_for(context)
        return self.router.emitter_for(context)

    async def create_auth_emitter(
        self, user_id: str, context: UserExecutionContext | None = None
    ) -> AuthenticationWebSocketEmitter:
        """The emitter of one user's signing in, which is no part of the rollout."""
        return UnifiedWebSocketEmitter.create_auth_emitter(self.router.manager, user_id, context)
