"""How long detail is kept, and how much of it: raw outcomes, windows, and the evidence of rounds that are over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from zlib import crc32

from controller.domain.durations import duration_ms, duration_text
from controller.domain.errors import Invalid
from controller.domain.outcomes import OutcomeClass

DAY_MS = 86_400_000
#: The key of the policy that holds for every flag that says nothing of its own.
EVERY_FLAG = "*"
#: One in so many deliveries at most; beyond it nothing useful would be left.
MOST_SAMPLED = 1_000_000
_MOST_MS = 3_650 * DAY_MS
_SAMPLE = re.compile(r"sample:\s*([0-9]{1,7})")


class Kind(StrEnum):
    """What is kept for a while: raw outcomes; the ledger and the analyses of ended rounds; windows."""

    RAW = "raw"
    LEDGER = "ledger"
    ANALYSES = "analyses"
    WINDOWS = "windows"


#: What is kept where nobody said otherwise. Ledger and analyses: counted from the end of their round.
DEFAULT_MS: Mapping[Kind, int] = {
    Kind.RAW: 7 * DAY_MS,
    Kind.LEDGER: 90 * DAY_MS,
    Kind.ANALYSES: 90 * DAY_MS,
    Kind.WINDOWS: 400 * DAY_MS,
}
#: The judge reads the control's last day from windows, and a report its rollback's minutes from raw outcomes.
LEAST_MS: Mapping[Kind, int] = {
    Kind.RAW: 3_600_000,
    Kind.LEDGER: DAY_MS,
    Kind.ANALYSES: DAY_MS,
    Kind.WINDOWS: 3 * DAY_MS,
}


@dataclass(frozen=True, slots=True)
class Detail:
    """Which raw outcomes are stored; windows, ledger and the judge count all of them whatever is said here.

    Attributes:
        one_in: every delivery (1), one in so many (N), or none (0). What was not delivered is always stored.
    """

    one_in: int = 1

    def keeps(self, outcome: str, key: str) -> bool:
        """Whether to store an outcome; `key` decides the sample, so what shares it is stored or left out together."""
        if self.one_in == 1 or outcome != OutcomeClass.DELIVERED.value:
            return True
        return bool(self.one_in) and crc32(key.encode("utf-8", "surrogatepass")) % self.one_in == 0

    @property
    def text(self) -> str:
        """As people write it: `all`, `failures` or `sample:N`."""
        return {0: "failures", 1: "all"}.get(self.one_in, f"sample:{self.one_in}")


ALL = Detail()


@dataclass(frozen=True, slots=True)
class Policy:
    """What is kept of one flag (or of every flag); None leaves it to the policy of every flag, or to the default.

    Attributes:
        flag_key: the flag, or `*`.
        keep_ms: by kind, how long.
        version: grows by one with each change; 0 before the first.
    """

    flag_key: str
    keep_ms: Mapping[Kind, int]
    detail: Detail | None = None
    version: int = 0
    updated_ms: int = 0

    def plain(self) -> dict[str, str | None]:
        """As people write it, for the audit trail."""
        kept = {kind.value: duration_text(self.keep_ms[kind]) if kind in self.keep_ms else None for kind in Kind}
        return {**kept, "detail": self.detail.text if self.detail else None}


@dataclass(frozen=True, slots=True)
class Policies:
    """All policies, by flag."""

    by_flag: Mapping[str, Policy]

    def keep_ms(self, flag_key: str, kind: Kind) -> int:
        """How long something of a flag is kept."""
        for key in (flag_key, EVERY_FLAG):
            policy = self.by_flag.get(key)
            if policy is not None and kind in policy.keep_ms:
                return policy.keep_ms[kind]
        return DEFAULT_MS[kind]

    def longest_ms(self, kind: Kind) -> int:
        """How long something of any flag is kept: what is older belongs to nobody."""
        return max(self.keep_ms(key, kind) for key in (EVERY_FLAG, *self.by_flag))

    def shorter(self, kind: Kind) -> dict[str, int]:
        """The flags whose own policy is shorter than the longest."""
        longest = self.longest_ms(kind)
        own = {key: self.keep_ms(key, kind) for key in self.by_flag if key != EVERY_FLAG}
        return {key: kept for key, kept in sorted(own.items()) if kept < longest}

    def detail(self, flag_key: str) -> Detail:
        """Which raw outcomes of a flag are stored."""
        for key in (flag_key, EVERY_FLAG):
            policy = self.by_flag.get(key)
            if policy is not None and policy.detail is not None:
                return policy.detail
        return ALL


NO_POLICIES = Policies({})


def changed(before: Policy, keep: Mapping[Kind, str | None], detail: str | None, now_ms: int) -> Policy:
    """The policy with what was said in words: a duration or a detail; empty: no word of its own; None: as it is.

    Raises:
        Invalid: a duration or a detail cannot be used; the error names the field.
    """
    kept = dict(before.keep_ms)
    for kind, text in keep.items():
        if text is None:
            continue
        kept.pop(kind, None)
        if text:
            kept[kind] = _checked_ms(kind, text)
    wanted = before.detail
    if detail is not None:
        wanted = detail_of(detail) if detail else None
    return replace(before, keep_ms=kept, detail=wanted, version=before.version + 1, updated_ms=now_ms)


def detail_of(text: str) -> Detail:
    """`all`, `failures` or `sample:N`.

    Raises:
        Invalid: it is none of these.
    """
    words = text.strip()
    match = _SAMPLE.fullmatch(words)
    if match and 1 <= int(match[1]) <= MOST_SAMPLED:
        return Detail(int(match[1]))
    if words in ("all", "failures"):
        return Detail(1 if words == "all" else 0)
    raise Invalid(f"{text[:80]!r} is none of all, failures, sample:N (N from 1 to {MOST_SAMPLED:,})", field="detail")


def _checked_ms(kind: Kind, text: str) -> int:
    kept = duration_ms(text, kind.value)
    least = LEAST_MS[kind]
    if not least <= kept <= _MOST_MS:
        raise Invalid(
            f"{text!r} is outside {duration_text(least)} to {duration_text(_MOST_MS)}; choose what lies between",
            field=kind.value,
        )
    return kept


#: Windows of this age are merged into wider ones: the youngest first, (age, width).
STEPS: tuple[tuple[int, int], ...] = ((2 * DAY_MS, 60_000), (30 * DAY_MS, 3_600_000))
#: Batch ids are known for so long: a report repeated later would count twice, and clients give up long before.
BATCHES_MS = 7 * DAY_MS
#: An instance neither heard of nor taking part for so long is forgotten.
INSTANCES_MS = 14 * DAY_MS
#: What belongs to an epoch or a rollout that is over may still arrive for a while.
LATE_MS = 3_600_000
