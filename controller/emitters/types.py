"""The words that every emitter shares: event names and the context of one agent run."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from controller.domain.outcomes import CRITICAL_EVENTS

__all__ = [
    "AUTH_EVENTS",
    "CRITICAL_EVENTS",
    "RUN_END",
    "EventData",
    "InvalidContextError",
    "UserExecutionContext",
    "new_id",
]

#: The events of signing in. They travel like critical events and are not part of an agent run.
AUTH_EVENTS: Final = ("auth_started", "auth_validating", "auth_completed", "auth_failed")

#: The event after which a run is over.
RUN_END: Final = "agent_completed"

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


def new_id() -> str:
    """128 random bits as 32 hexadecimal digits. An id has to be unique, not secret, and five times faster than a UUID.

    The generator is seeded by the operating system and anew in each forked process.
    """
    return f"{random.getrandbits(128):032x}"


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
