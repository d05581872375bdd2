"""Secrets that have to be told again, such as a channel's address: sealed with a key that is not in the database."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from controller.domain.errors import Conflict

_SEALED, _CLEAR = "sealed:", "clear:"


class SecretSealed(Conflict):
    """A secret of the database cannot be opened with this server's key."""

    code = "secret_sealed"


class Vault:
    """Seals with the first of its keys and opens with any of them; without a key secrets are stored in the clear.

    Keys are random texts of CANARY_SECRET_KEY; what is used is their SHA-256.
    """

    def __init__(self, keys: Sequence[str] = ()) -> None:
        fernets = [Fernet(urlsafe_b64encode(sha256(key.encode()).digest())) for key in keys]
        self._first = fernets[0] if fernets else None
        self._all = MultiFernet(fernets) if fernets else None

    @property
    def locked(self) -> bool:
        """Whether it has a key."""
        return self._first is not None

    def seal(self, secret: str) -> str:
        """The form that is stored."""
        if self._first is None:
            return _CLEAR + secret
        return _SEALED + self._first.encrypt(secret.encode()).decode()

    def open(self, stored: str) -> str:
        """The secret itself.

        Raises:
            SecretSealed: it was sealed with a key that this server has not.
        """
        if stored.startswith(_CLEAR):
            return stored.removeprefix(_CLEAR)
        missing = SecretSealed("give this server the CANARY_SECRET_KEY that it was sealed with")
        if self._all is None:
            raise missing
        try:
            return self._all.decrypt(stored.removeprefix(_SEALED).encode()).decode()
        except InvalidToken:
            raise missing from None

    def is_current(self, stored: str) -> bool:
        """Whether it is stored as this server would store it."""
        if self._first is None:
            return True
        if not stored.startswith(_SEALED):
            return False
        try:
            self._first.decrypt(stored.removeprefix(_SEALED).encode())
        except InvalidToken:
            return False
        return True


def is_sealed(stored: str) -> bool:
    """Whether a stored secret is encrypted."""
    return stored.startswith(_SEALED)
