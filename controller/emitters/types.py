"""The words that every emitter shares: event names and the context of one agent run."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Any, Final

from controller.domain.outcomes import CRITICAL_EVENTS

__all__ = [
    "AUTH_EVENTS",
    "CRITICAL_EVENTS",
    "PROGRESS_EVENTS",
    "RUN_END",
    "RUN_ENDS",
    "RUN_ERROR",
    "RUN_START",
    "EventData",
    "InvalidContextError",
    "UserExecutionContext",
    "as_context",
    "new_id",
]

#: The events of signing in. They travel like critical events and are not part of an agent run.
AUTH_EVENTS: Final = ("auth_started", "auth_validating", "auth_completed", "auth_failed")

#: The event that begins a run, and those after which it is over: the answer is ready, or there will be none.
RUN_START: Final = "agent_started"
RUN_END: Final = "agent_completed"
RUN_ERROR: Final = "agent_error"
RUN_ENDS: Final = frozenset({RUN_END, RUN_ERROR})

#: Events of which only the newest matters: one that still waits to be written gives way to its successor.
PROGRESS_EVENTS: Final = ("progress_update",)

#: What an event says: a JSON object. It never decides where the event goes.
EventData = dict[str, Any]

#: Values that programs put where an id is missing. Routing by one of them would mix users up.
_PLACEHOLDERS: Final = frozenset(
    {"registry", "placeholder", "default", "temp", "none", "null", "undefined", "0", "1", "xxx", "yyy"}
    | {"example", "test", "demo", "sample", "template", "mock", "fake", "dummy"}
)
_MAX_ID_LENGTH: Final = 256


class InvalidContextError(ValueError):
    """A field of the execution context cannot identify anybody: it is blank, too long or a placeholder."""


class _Ids:
    """Ids of 32 hexadecimal digits: half of them this process's own, at random, and a number.

    An id has to be unique, not secret; these are made ten times faster than a UUID. A forked child begins anew.
    """

    def __init__(self) -> None:
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._prefix, self._numbers = secrets.token_hex(8), count()

    def new(self) -> str:
        """The next one."""
        return f"{self._prefix}{next(self._numbers):016x}"


#: A new id, unique over all processes.
new_id: Final = _Ids().new


def as_context(given: object) -> UserExecutionContext:
    """The context as one of ours: an application may pass its own class with the same fields.

    Read are user_id, thread_id, run_id, request_id, and connection_id or an older name of it.

    Raises:
        TypeError: it has no user_id or thread_id.
        InvalidContextError: an id cannot identify anybody.
    """
    if isinstance(given, UserExecutionContext):
        return given
    try:
        ids = {name: getattr(given, name) for name in ("user_id", "thread_id")}
    except AttributeError as missing:
        raise TypeError(f"{type(given).__name__} is no execution context: it has no {missing.name}") from None
    ids |= {name: value for name in ("run_id", "request_id") if (value := getattr(given, name, None)) is not None}
    names = ("connection_id", "websocket_client_id", "websocket_connection_id")
    connection_id = next((found for name in names if (found := getattr(given, name, None))), None)
    return UserExecutionContext(**ids, connection_id=connection_id)


def _require_id(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidContextError(f"{name} must be a non-empty string, not {value!r}: pass the real id")
    if len(value) > _MAX_ID_LENGTH:
        raise InvalidContextError(f"{name} has {len(value)} characters, more than {_MAX_ID_LENGTH}: pass an id")
    if value.strip().lower() in _PLACEHOLDERS:
        raise InvalidContextError(f"{name} is the placeholder {value!r}: pass the real id")


@dataclass(frozen=True, slots=True)
class UserExecutionContext:
    """One agent run for one user; the only source of routing.

    Immutable: the two dictionaries are copied and read-only.

    Raises:
        InvalidContextError: an id is blank, longer than 256 characters or a placeholder.
    """

    user_id: str
    thread_id: str
    #: One agent run. Made when not given.
    run_id: str = field(default_factory=new_id)
    #: One request to the back end. Made when not given.
    request_id: str = field(default_factory=new_id)
    #: The socket that the request came from, if known. Events still go to every socket of the user.
    connection_id: str | None = None
    agent_context: Mapping[str, Any] = field(default_factory=dict)
    audit_metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("user_id", "thread_id", "run_id", "request_id"):
            _require_id(name, getattr(self, name))
        if self.connection_id is not None:
            _require_id("connection_id", self.connection_id)
        for name in ("agent_context", "audit_metadata"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def websocket_client_id(self) -> str | None:
        """An older name of `connection_id`."""
        return self.connection_id

    @property
    def websocket_connection_id(self) -> str | None:
        """Another older name of `connection_id`."""
        return self.connection_id
