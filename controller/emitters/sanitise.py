"""What the legacy emitters hide or shorten before a payload leaves the process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

__all__ = ["sanitised"]

_SECRET: Final = re.compile("password|secret|key|token|auth|credential", re.IGNORECASE)
_REDACTED: Final = "[REDACTED]"
_MAX_TEXT: Final = 200
#: Fields that hold an answer or an error keep more of it.
_MAX_TEXT_OF: Final = {"result": 10_000, "output": 10_000, "tool_output": 10_000, "error": 300}
_MAX_DEPTH: Final = 8
#: Names are few and come with every event; longer ones are not worth remembering.
_NAMES_REMEMBERED: Final = 1_024
_LONGEST_REMEMBERED: Final = 64
#: The plain classes first: asking an abstract one costs ten times as much.
_PLAIN: Final = (int, float)
_MAPS: Final = (dict, Mapping)
_NESTS: Final = (dict, list, tuple, Mapping)


def sanitised(value: Any, *, max_text: int = _MAX_TEXT, depth: int = 0) -> Any:
    """A copy with secrets redacted by the names of their keys and long strings cut at `max_text` characters.

    Results and outputs are cut at 10 000 characters, errors at 300. Nesting beyond eight levels is replaced by its
    type's name, so hostile data cannot exhaust the stack.
    """
    if isinstance(value, str):
        return value if len(value) <= max_text else f"{value[:max_text]}..."
    if value is None or isinstance(value, _PLAIN) or not isinstance(value, _NESTS):
        return value
    if depth >= _MAX_DEPTH:
        return f"[{type(value).__name__}]"
    if isinstance(value, _MAPS):
        return _fields(value, max_text, depth + 1)
    return [sanitised(item, max_text=max_text, depth=depth + 1) for item in value]


def _fields(fields: Mapping[Any, Any], max_text: int, depth: int) -> dict[Any, Any]:
    copy = {}
    for name, value in fields.items():
        if not isinstance(name, str):
            most: int | None = max_text
        elif len(name) <= _LONGEST_REMEMBERED:
            most = _remembered(name, max_text)
        else:
            most = _most_text(name, max_text)
        if most is None:
            copy[name] = _REDACTED
        elif type(value) is str and len(value) <= most:  # most of them, without a call
            copy[name] = value
        else:
            copy[name] = sanitised(value, max_text=most, depth=depth)
    return copy


def _most_text(name: str, max_text: int) -> int | None:
    """How much text a field of this name may hold; None when its name says that it is secret."""
    return None if _SECRET.search(name) else _MAX_TEXT_OF.get(name, max_text)


_remembered: Final = lru_cache(_NAMES_REMEMBERED)(_most_text)
