"""ASGI: a middleware tells OpenFeature the user of each request; evaluations are awaited and never wait."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.transaction_context import ContextVarsTransactionContextPropagator

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class UserOfFlags:
    """Each request runs in a context of its own, so one user's never reaches another's request."""

    def __init__(self, app: App) -> None:
        self.app = app
        api.set_transaction_context_propagator(ContextVarsTransactionContextPropagator())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            api.set_transaction_context(EvaluationContext(headers.get("x-user", "")))
        await self.app(scope, receive, send)


async def search(scope: Scope, receive: Receive, send: Send) -> None:
    new = await api.get_client().get_boolean_value_async("new-search", False)
    body = json.dumps({"new": new}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


def create_app() -> App:
    return UserOfFlags(search)
