"""A verdict brings its reasons: findings, and the evidence behind a slot's analysis."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """What the evidence says; an error is not a verdict."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"


class Rule(StrEnum):
    """Which part of the guard found it."""

    SEQUENTIAL = "sequential"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the judge found against the canary.

    Attributes:
        guard: the guard's name in the manifest.
        stream: the event type, `later` or `pooled`.
        failed, total: milli-units since the stream's last restart (or of the block).
        score, line: evidence and what was needed, in micro-nats (0 and 0 for a block).
    """

    guard: str
    rule: Rule
    stream: str
    failed: int
    total: int
    score: int = 0
    line: int = 0
    open_units: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a stream stands: the alternative nearest to its line."""

    score: int
    line: int
    failed: int
    total: int

    @property
    def permille_of_line(self) -> int:
        """The evidence in permille of what is needed; 0 where nothing failed, whatever head start a stream has."""
        return max(0, 1000 * self.score // self.line) if self.failed else 0


@dataclass(frozen=True, slots=True)
class Analysis:
    """The judge's word on one slot.

    Attributes:
        verdict: fail, pass (this stage is proven) or inconclusive.
        findings: why it fails, the worst first.
        lacking: why it does not pass, in words; empty on a pass.
        evidence: per stream.
    """

    seq: int
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    lacking: tuple[str, ...] = ()
    evidence: dict[str, Evidence] = field(default_factory=dict)
