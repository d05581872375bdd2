"""For tests of applications: real contexts, made in one place."""

from __future__ import annotations

from typing import Any

from controller.emitters.types import UserExecutionContext

__all__ = ["SSotMockFactory"]


class SSotMockFactory:
    """The single source of what tests pass around. Nothing it makes is a mock: contexts are the real thing."""

    @staticmethod
    def create_isolated_execution_context(
        user_id: str,
        thread_id: str,
        websocket_client_id: str | None = None,
        connection_id: str | None = None,
        **kwargs: Any,
    ) -> UserExecutionContext:
        """A context that shares nothing with any other one.

        `websocket_client_id` is an older name of `connection_id`, which wins when both are given. Further keywords are
        fields of the context.

        Raises:
            InvalidContextError: an id cannot identify anybody.
            TypeError: a keyword is no field of the context.
        """
        return UserExecutionContext(
            user_id=user_id,
            thread_id=thread_id,
            connection_id=connection_id or websocket_client_id or f"conn_{user_id}_{thread_id}",
            **kwargs,
        )
