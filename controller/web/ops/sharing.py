"""Parts of pages that many people look at: drawn once after each change, not once for each of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

_MOST_KEPT = 64
_LONGEST_NAME = 64


class Shared:
    """Keeps what was last drawn of each part, with the change that it was drawn after.

    A change's name is unique to this process and was told to pages after the change could be read, so whatever was
    drawn for it shows it. Of several threads that ask for the same part one draws, the others wait.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: OrderedDict[Hashable, _Part] = OrderedDict()

    def get(self, name: Hashable, change: str, draw: Callable[[], str]) -> str:
        """The part as of this change or a later one; without a change's name it is always drawn."""
        if not 0 < len(change) <= _LONGEST_NAME:
            return draw()
        part = self._part(name)
        with part.lock:
            if part.change != change:
                part.text = draw()
                part.change = change
            return part.text

    def _part(self, name: Hashable) -> _Part:
        with self._lock:
            part = self._parts.setdefault(name, _Part())
            self._parts.move_to_end(name)
            while len(self._parts) > _MOST_KEPT:
                self._parts.popitem(last=False)
            return part


class _Part:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.change = ""
        self.text = ""
