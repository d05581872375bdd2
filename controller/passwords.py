"""Passwords: hashed with argon2id, in the parameters that argon2-cffi recommends (RFC 9106, low memory)."""

from __future__ import annotations

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

#: Each takes 64 MiB while it works: so many at a time, whoever knocks.
_AT_A_TIME = threading.BoundedSemaphore(2)
_hasher = PasswordHasher()


def hashed(password: str) -> str:
    """What is kept of a password."""
    with _AT_A_TIME:
        return _hasher.hash(password)


def fits(kept: str | None, password: str) -> bool:
    """Whether this is the password; takes as long where there is none, so that nobody learns which names exist."""
    with _AT_A_TIME:
        try:
            _hasher.verify(kept if kept is not None else _nobodys(), password)
        except (VerificationError, InvalidHashError):
            return False
    return kept is not None


def outdated(kept: str) -> bool:
    """Whether it was hashed with other parameters than new ones are."""
    return _hasher.check_needs_rehash(kept)


_dummy: list[str] = []


def _nobodys() -> str:
    """The hash of a password that nobody has; made when it is first needed."""
    if not _dummy:
        _dummy.append(_hasher.hash("nobody has this password"))
    return _dummy[0]
