"""Scopes as columns: a list of flags, or null for all."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Null, null

from controller.domain.scopes import EVERYWHERE, Scope


def stored(scope: Scope) -> list[str] | Null:
    """A scope as its column takes it."""
    return null() if scope.flags is None else list(scope.flags)


def read(flags: Sequence[str] | None) -> Scope:
    """A scope as its column has it."""
    return EVERYWHERE if flags is None else Scope(tuple(flags))
