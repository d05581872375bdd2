"""Who sees the canary: one hash and one comparison in whole numbers, the same in every evaluator.

The padded form makes the CBOR head of the hashed string a constant, so that flagd evaluators of both hashing
generations agree with this function on the exported flag.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import mmh3

A = TypeVar("A")

#: Weights are parts of this: steps of 0.01 %.
WHOLE = 10_000

#: Characters that are hashed: the last so many of padding, salt, `/` and targeting key.
LENGTH = 120
PAD = "0" * LENGTH
#: Keys of so many lengths are prepared for in each split; there are rarely more than a few.
_MOST_HEADS = 8

_murmur = mmh3.hash


def bucket(salt: str, targeting_key: str) -> int:
    """The bucket of a targeting key, 0 to 9,999: the canary is served where it is below the canary's weight.

    The canary is the first variant, so that the users of a smaller share all keep seeing it while the share grows.
    Source: murmur3_x86_32 (seed 0, unsigned) over the CBOR form of the last 120 characters of padding, salt, `/`
    and key; bucket = (hash x 10000) >> 32.
    """
    return (_hash((PAD + salt + "/" + targeting_key)[-LENGTH:]) * WHOLE) >> 32


def sees_canary(salt: str, targeting_key: str, weight: int) -> bool:
    """Whether this targeting key is among the first `weight` of 10,000 buckets."""
    return bucket(salt, targeting_key) < weight


def chooser(salt: str, weight: int, chosen: A, other: A) -> Callable[[str | None, object], A | None]:
    """A function that answers as `sees_canary` does: `chosen` below the weight, else `other`; without a key None.

    The salt is ASCII. The comparison is moved to the hash: (h x 10000) >> 32 < w where h < ceil(w x 2^32 / 10000).
    """
    prefix, limit = PAD + salt + "/", _limit(weight)
    heads: dict[int, str] = {}  # by the length of a key, what is hashed before it: joined once, cut once

    def choose(key: str | None, _attributes: object) -> A | None:
        if not key:
            return None
        if key.isascii():  # 120 characters, so the CBOR head is 0x78 0x78
            try:
                return chosen if _murmur(heads[len(key)] + key, 0, False) < limit else other
            except KeyError:
                pass
            room = LENGTH - len(key)
            if room > len(salt) and len(heads) < _MOST_HEADS:
                heads[len(key)] = "xx" + prefix[-room:]
            return chosen if _murmur("xx" + (prefix + key)[-LENGTH:], 0, False) < limit else other
        return chosen if _hash((prefix + key)[-LENGTH:]) < limit else other

    return choose


@lru_cache(maxsize=WHOLE + 1)
def _limit(weight: int) -> int:
    return -((-weight << 32) // WHOLE)


def _hash(text: str) -> int:
    raw = text.encode("utf-8", "surrogatepass")
    size = len(raw)
    head = bytes((0x78, size)) if size < 256 else b"\x79" + size.to_bytes(2, "big")
    return int(_murmur(head + raw, 0, False))
