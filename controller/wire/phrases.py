"""Targeting and conditions in words, the same on the command line and on pages."""

from __future__ import annotations

from typing import Any

import msgspec

from controller.wire.targeting import ConditionForm, TargetingForm

_MOST_SHOWN = 10


def facts(form: TargetingForm) -> list[tuple[str, object]]:
    """What is shown of a flag's targeting, in the order in which it decides."""
    found: list[tuple[str, object]] = [("denied", _some(form.deny))] if form.deny else []
    found += [(f"allowed {variant}", _some(keys)) for variant, keys in form.allow.items()]
    for at, rule in enumerate(form.rules, 1):
        share = "" if rule.share == "100%" else f"{rule.share} of "
        who = condition_text(rule.when) if rule.when is not None else "everybody"
        found.append((f"rule {rule.name or f'#{at}'}", f"{share}{who} -> {rule.serve}"))
    return found


def condition_text(form: ConditionForm) -> str:
    """A condition in one line."""
    if form.segment is not None:
        return f"segment {form.segment}"
    if form.not_ is not None:
        return f"not ({condition_text(form.not_)})"
    for word, parts in (("and", form.and_), ("or", form.or_)):
        if parts is not None:
            return f" {word} ".join(f"({condition_text(part)})" for part in parts)
    plain = msgspec.to_builtins(form)
    operator, value = next((name, value) for name, value in plain.items() if name != "attribute")
    shown = _some(value) if isinstance(value, list) else msgspec.json.encode(value).decode()
    return f"{form.attribute} {operator} {shown}"


def listed(form: TargetingForm, users: list[str], *, allow: str | None = None, deny: bool = False) -> TargetingForm:
    """The targeting with these keys on one list, or on none, and on no other."""
    moved = list(dict.fromkeys(users))
    denied = [key for key in form.deny if key not in moved] + (moved if deny else [])
    allowed = {variant: [key for key in keys if key not in moved] for variant, keys in form.allow.items()}
    if allow is not None:
        allowed[allow] = [*allowed.get(allow, []), *moved]
    return msgspec.structs.replace(form, deny=denied, allow={name: keys for name, keys in allowed.items() if keys})


def _some(values: list[Any]) -> str:
    shown = ", ".join(str(value) for value in values[:_MOST_SHOWN])
    return shown if len(values) <= _MOST_SHOWN else f"{shown} and {len(values) - _MOST_SHOWN} more"
