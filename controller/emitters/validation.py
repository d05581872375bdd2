"""Whether factories and emitter classes keep to the common interface, and if not, in which call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypedDict

from controller.emitters.factories import AgentWebSocketBridge, WebSocketBridgeFactory
from controller.emitters.protocols import WebSocketEmitterClass, WebSocketEmitterFactory
from controller.emitters.unified import UnifiedWebSocketEmitter

__all__ = ["InterfaceReport", "contract_table", "validate_websocket_interfaces"]


class InterfaceReport(TypedDict):
    """What was found of one implementation."""

    has_create_user_emitter: bool
    has_create_auth_emitter: bool
    #: Every legal call binds to the signature.
    signature_compatible: bool
    #: It has what its protocol asks for, every legal call binds, and it is awaited exactly where it has to be.
    protocol_compliant: bool
    #: What is wrong, each with the call that it would break.
    mismatches: list[str]


class _Call(NamedTuple):
    method: str
    arguments: tuple[str, ...]
    keywords: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.method}({', '.join([*self.arguments, *(f'{name}=...' for name in self.keywords)])})"


class _Contract(NamedTuple):
    protocol: type
    awaited: bool
    calls: tuple[_Call, ...]


_AUTH_CALLS: Final = (
    _Call("create_auth_emitter", ("user_id",)),
    _Call("create_auth_emitter", ("user_id", "context")),
    _Call("create_auth_emitter", ("user_id",), ("context",)),
    _Call("create_auth_emitter", (), ("user_id", "context")),
)
_OF_FACTORIES: Final = _Contract(
    WebSocketEmitterFactory,
    True,
    (
        _Call("create_user_emitter", ("user_context",)),
        _Call("create_user_emitter", (), ("user_context",)),
        _Call("create_user_emitter", (), ("user_id", "thread_id")),
        _Call("create_user_emitter", (), ("user_id", "thread_id", "connection_id")),
        _Call("create_user_emitter", ("user_id", "thread_id", "connection_id")),
        *_AUTH_CALLS,
    ),
)
_OF_CLASSES: Final = _Contract(
    WebSocketEmitterClass,
    False,
    (
        _Call("create_user_emitter", ("manager", "user_context")),
        _Call("create_user_emitter", (), ("manager", "user_context")),
        *(
            _Call(call.method, ("manager", *call.arguments), call.keywords)
            if call.arguments
            else _Call(call.method, (), ("manager", *call.keywords))
            for call in _AUTH_CALLS
        ),
    ),
)
_METHODS: Final = ("create_user_emitter", "create_auth_emitter")


def validate_websocket_interfaces(implementations: Iterable[object] | None = None) -> dict[str, InterfaceReport]:
    """Check implementations against the common interface; by default the three of this package.

    An emitter class is checked against `WebSocketEmitterClass`, a factory (an object, or its class) against
    `WebSocketEmitterFactory`. Attribute presence alone proves little, so that every legal call, old and new, has to
    bind to the signature, and a call has to be awaitable exactly where the interface awaits it. Nothing is called.

    Returns one report per implementation, by the name of the class.
    """
    if implementations is None:
        implementations = (UnifiedWebSocketEmitter, WebSocketBridgeFactory(), AgentWebSocketBridge())
    reports: dict[str, InterfaceReport] = {}
    for implementation in implementations:
        name = _name(implementation)
        while name in reports:
            name += "'"
        reports[name] = _report(implementation)
    return reports


def contract_table(reports: Mapping[str, InterfaceReport]) -> str:
    """The reports as a Markdown table."""
    columns = ("has_create_user_emitter", "has_create_auth_emitter", "signature_compatible", "protocol_compliant")
    rows = ["| implementation | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, report in reports.items():
        cells = ["yes" if value else "**no**" for key, value in report.items() if key in columns]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _report(implementation: object) -> InterfaceReport:
    contract = _OF_CLASSES if _is_emitter_class(implementation) else _OF_FACTORIES
    # The functions of a factory's class are asked without an instance, and have its place in their signature.
    instance = (object(),) if inspect.isclass(implementation) and contract is _OF_FACTORIES else ()
    methods = {name: _method(implementation, name) for name in _METHODS}
    unbound = [problem for call in contract.calls if (problem := _unbound(methods[call.method], call, instance))]
    wrong_kind = [problem for name, method in methods.items() if (problem := _wrong_kind(name, method, contract))]
    missing = [f"{name} is missing" for name, method in methods.items() if method is None]
    fits = isinstance(implementation, contract.protocol) or inspect.isclass(implementation)
    if not fits and not missing:
        missing = [f"it is no {contract.protocol.__name__}"]
    return InterfaceReport(
        has_create_user_emitter=methods["create_user_emitter"] is not None,
        has_create_auth_emitter=methods["create_auth_emitter"] is not None,
        signature_compatible=not unbound and not missing,
        protocol_compliant=not (unbound or wrong_kind or missing),
        mismatches=[*missing, *unbound, *wrong_kind],
    )


def _is_emitter_class(implementation: object) -> bool:
    """Whether it is a class whose factory methods need no instance."""
    if not inspect.isclass(implementation):
        return False
    found = (inspect.getattr_static(implementation, name, None) for name in _METHODS)
    return any(isinstance(method, classmethod | staticmethod) for method in found)


def _method(implementation: object, name: str) -> Callable[..., Any] | None:
    method = getattr(implementation, name, None)
    return method if callable(method) else None


def _unbound(method: Callable[..., Any] | None, call: _Call, instance: tuple[object, ...]) -> str | None:
    if method is None:
        return None
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):
        return f"{call}: the signature of {call.method} cannot be read"
    try:
        signature.bind(*instance, *call.arguments, **dict.fromkeys(call.keywords))
    except TypeError as error:
        return f"{call} does not fit {call.method}{signature}: {error}"
    return None


def _wrong_kind(name: str, method: Callable[..., Any] | None, contract: _Contract) -> str | None:
    if method is None or inspect.iscoroutinefunction(inspect.unwrap(method)) is contract.awaited:
        return None
    if contract.awaited:
        return f"{name} is not a coroutine function: `await factory.{name}(...)` would fail; make it `async def`"
    return f"{name} is a coroutine function: callers of an emitter class do not await it; make it `def`"


def _name(implementation: object) -> str:
    return implementation.__name__ if inspect.isclass(implementation) else type(implementation).__name__
