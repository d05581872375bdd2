"""Scopes: which flags somebody may change. A scope names flags by key, or by the beginning of their keys (`chat.*`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from controller.domain.errors import Invalid, OutOfScope

_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\*?|\*")
_MOST = 100


@dataclass(frozen=True, slots=True)
class Scope:
    """Some flags and whatever belongs to them, or all.

    Attributes:
        flags: keys, or beginnings of keys followed by `*`; None is every flag there is and will be.
    """

    flags: tuple[str, ...] | None = None

    @property
    def everything(self) -> bool:
        """Whether no flag is outside."""
        return self.flags is None

    def covers(self, flag_key: str) -> bool:
        """Whether a flag is within."""
        return self.flags is None or any(_matches(pattern, flag_key) for pattern in self.flags)

    def within(self, other: Scope) -> bool:
        """Whether everything in here is in the other one as well."""
        if other.flags is None:
            return True
        return self.flags is not None and all(_inside(pattern, other) for pattern in self.flags)

    def check(self, flag_key: str) -> None:
        """Refuse a flag that is outside.

        Raises:
            OutOfScope: it is.
        """
        if not self.covers(flag_key):
            raise OutOfScope(f"flag {flag_key!r} is outside; this covers {self}", field="flag")

    def __str__(self) -> str:
        return "all flags" if self.flags is None else ", ".join(self.flags)


#: No limit.
EVERYWHERE = Scope()


def scope_of(flags: Iterable[str], field: str = "flags") -> Scope:
    """The scope that people write as a list; an empty one is everything.

    Raises:
        Invalid: something in it is no key, nor the beginning of one; or there are too many.
    """
    found = tuple(dict.fromkeys(flags))
    if len(found) > _MOST:
        raise Invalid(f"a scope names at most {_MOST} flags; use beginnings such as `chat.*`", field=field)
    for at, pattern in enumerate(found):
        if not _PATTERN.fullmatch(pattern):
            words = f"{pattern[:200]!r} is no flag's key, nor a beginning such as `chat.*`"
            raise Invalid(words, field=f"{field}[{at}]")
    return EVERYWHERE if not found or "*" in found else Scope(found)


def _matches(pattern: str, key: str) -> bool:
    return key.startswith(pattern[:-1]) if pattern.endswith("*") else key == pattern


def _inside(pattern: str, other: Scope) -> bool:
    wide = pattern.removesuffix("*")
    if wide == pattern:
        return other.covers(pattern)
    return any(each.endswith("*") and wide.startswith(each[:-1]) for each in other.flags or ())
