"""Who sees the canary: one hash and one comparison in whole numbers, the same in every evaluator.

The padded form makes the CBOR head of the hashed string a constant, so that flagd evaluators of both hashing
generations agree with this function on the exported flag.
"""

from __future__ import annotations

import mmh3

#: Weights are parts of this: steps of 0.01 %.
WHOLE = 10_000

_LENGTH = 120
_PAD = "0" * _LENGTH


def bucket(salt: str, targeting_key: str) -> int:
    """The bucket of a targeting key, 0 to 9,999: the canary is served where it is below the canary's weight.

    The canary is the first variant, so that the users of a smaller share all keep seeing it while the share grows.
    Source: murmur3_x86_32 (seed 0, unsigned) over the CBOR form of the last 120 characters of padding, salt, `/`
    and key; bucket = (hash x 10000) >> 32.
    """
    text = (_PAD + salt + "/" + targeting_key)[-_LENGTH:].encode("utf-8", "surrogatepass")
    size = len(text)
    head = bytes((0x78, size)) if size < 256 else b"\x79" + size.to_bytes(2, "big")
    return (mmh3.hash(head + text, 0, False) * WHOLE) >> 32


def sees_canary(salt: str, targeting_key: str, weight: int) -> bool:
    """Whether this targeting key is among the first `weight` of 10,000 buckets."""
    return bucket(salt, targeting_key) < weight
