"""What may leave the process: keyed hashes instead of user ids, and text that every encoder takes."""

from __future__ import annotations

from hashlib import blake2b

_MOST_TEXT = 200
_MOST_KEY = 128


class Pseudonyms:
    """Hashes of ids under a key made from the token.

    All processes that share a token give a user the same pseudonym, so distinct users can be counted over an
    installation; whoever has not got the token cannot try ids against it. A new token makes new pseudonyms.
    """

    def __init__(self, token: str) -> None:
        self._key = blake2b(token.encode(), digest_size=32, person=b"canary-units").digest()

    def of(self, *parts: str) -> str:
        """128 bits in hexadecimal; any text will do, and ("a", "b") differs from ("ab",)."""
        digest = blake2b(key=self._key, digest_size=16)
        for part in parts:
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "big"))
            digest.update(raw)
        return digest.hexdigest()


def clean(text: str, most: int = _MOST_TEXT) -> str:
    """The text without control characters and lone surrogates, at most `most` characters long."""
    if len(text) <= most and text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:most])


def clean_key(text: str) -> str:
    """A name for a row of a report: never empty, at most 128 characters."""
    return clean(text, _MOST_KEY) or "-"


def without_user(text: str, user_id: str) -> str:
    """Free text with the user's id taken out, cut to 200 characters."""
    if user_id and text:
        # Of an id that is longer than what is kept, the beginning would give it away: cut the text there.
        text = _cut(text, user_id[:_MOST_TEXT]) if len(user_id) > _MOST_TEXT else text.replace(user_id, "<user>")
    return clean(text)


def _cut(text: str, beginning: str) -> str:
    head, found, _ = text.partition(beginning)
    return f"{head}<user>" if found else text
