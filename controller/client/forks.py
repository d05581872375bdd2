"""What a forked child has to begin anew: threads, locks, connections, and its name at the controller."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable

_restarts: list[weakref.WeakMethod[Callable[[], None]]] = []


def after_fork(restart: Callable[[], None]) -> None:
    """Call this bound method in every child from now on, in the order of registration; its object may die."""
    _restarts[:] = [kept for kept in _restarts if kept() is not None]
    _restarts.append(weakref.WeakMethod(restart))


def _in_child() -> None:
    for reference in _restarts:
        if (restart := reference()) is not None:
            restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
