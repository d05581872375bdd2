"""What an audit entry changed, field by field."""

from __future__ import annotations

import json
from typing import Any

from controller.wire.api.people import AuditView

#: Fields that every change moves and that say nothing by themselves.
_NOISE = frozenset({"version", "updated_ms"})
_LONGEST = 400


def changes(entry: AuditView) -> list[tuple[str, str | None, str | None]]:
    """The fields whose value differs: name, before, after; None where there was no such field."""
    before, after = _flat(entry.before), _flat(entry.after)
    return [
        (name, _text(before.get(name)), _text(after.get(name)))
        for name in dict.fromkeys((*before, *after))
        if name not in _NOISE and before.get(name) != after.get(name)
    ]


def _flat(document: Any, path: str = "") -> dict[str, Any]:
    """Leaves by their dotted path; lists stay whole, since a moved item is no change of its neighbours."""
    if document is None:
        return {}
    if not isinstance(document, dict) or not document:
        return {path or "value": document}
    found: dict[str, Any] = {}
    for name, value in document.items():
        found |= _flat(value, f"{path}.{name}" if path else str(name)) if value is not None else {}
    return found


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
