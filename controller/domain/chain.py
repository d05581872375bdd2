"""The audit trail as a chain: each entry carries a digest of itself and of the one before, so that a change shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

#: What stands in the place of a digest before the first entry.
GENESIS = "0" * 64
#: What a digest covers besides the entry's number and the digest before it.
COVERED = ("at_ms", "actor", "action", "subject", "reason", "before", "after", "request_id")


def entry_digest(seq: int, previous: str, entry: Mapping[str, Any]) -> str:
    """SHA-256 over an entry in canonical JSON, its place in the chain and the digest before it; 64 hex digits."""
    covered = {"seq": seq, "previous": previous, **{name: entry[name] for name in COVERED}}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a chain, as `12:af03...`; noted elsewhere, it proves later that nothing before it changed."""

    seq: int = 0
    digest: str = GENESIS

    def __str__(self) -> str:
        return f"{self.seq}:{self.digest}"


def head_of(text: str) -> Head | None:
    """A head as it was noted; None where the text is none."""
    number, colon, digest = text.strip().partition(":")
    if not colon or not number.isdecimal() or len(digest) != len(GENESIS):
        return None
    return Head(int(number), digest.lower())


@dataclass(slots=True)
class ChainCheck:
    """Walks along a chain from its first entry; stops at what does not fit.

    Attributes:
        noted: heads that must be met on the way: what the installation remembers, what somebody noted elsewhere.
        head: the last entry that fitted.
        fault: what does not fit, in words; empty while everything does.
    """

    noted: tuple[Head, ...] = ()
    head: Head = Head()
    fault: str = ""

    def follow(self, entries: Iterable[Mapping[str, Any]]) -> bool:
        """Take the next entries, in order; False once something did not fit."""
        for entry in entries:
            self.fault = self._fault_of(entry)
            if self.fault:
                return False
            self.head = Head(entry["seq"], entry["digest"])
        return True

    def end(self) -> bool:
        """Everything has been seen; False where something does not fit, or the chain ends before a noted entry."""
        beyond = [noted.seq for noted in self.noted if noted.seq > self.head.seq]
        if beyond and not self.fault:
            self.fault = f"the chain ends at entry {self.head.seq}; entries up to {max(beyond)} are missing"
        return not self.fault

    def _fault_of(self, entry: Mapping[str, Any]) -> str:
        seq, expected = entry["seq"], self.head.seq + 1
        if seq != expected:
            missing = str(expected) if seq == expected + 1 else f"{expected} to {seq - 1}"
            return f"entry {missing} is missing" if seq > expected else f"entry {seq} comes twice"
        if entry["previous"] != self.head.digest or entry["digest"] != entry_digest(seq, self.head.digest, entry):
            return f"entry {seq} was changed"
        if any(noted.seq == seq and noted.digest != entry["digest"] for noted in self.noted):
            return f"entry {seq} is not the one that was noted: the chain up to it was written anew"
        return ""
