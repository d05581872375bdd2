"""A verdict brings its reasons: findings, what a stage still lacks, and the evidence behind a slot's analysis."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What the evidence says; an error is not a verdict."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"


class Effect(StrEnum):
    """What a finding does, the worst first: roll back, pause, hold promotion and say so, only say so."""

    ROLLBACK = "rollback"
    PAUSE = "pause"
    HOLD = "hold"
    ALERT = "alert"


_SEVERITY = {effect: at for at, effect in enumerate(Effect)}


class Rule(StrEnum):
    """What was found; each kind of failure, silence and skew has a name of its own.

    sequential: evidence beyond its line. block: a full block below the threshold. recent: the last `min_samples` are.
    margin: one arm worse than the other by more than the margin. not_reporting: canary units that were due did not
    speak. blind: attempts and no outcome for five minutes. no_canary_traffic: the control has traffic, the canary none.
    sample_ratio: the users of the arms do not fit the share.
    """

    SEQUENTIAL = "sequential"
    BLOCK = "block"
    RECENT = "recent"
    MARGIN = "margin"
    NOT_REPORTING = "not_reporting"
    BLIND = "blind"
    NO_CANARY_TRAFFIC = "no_canary_traffic"
    SAMPLE_RATIO = "sample_ratio"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the judge found.

    Attributes:
        guard: the guard's name in the manifest, or of what is always watched.
        stream: the event type, `later`, `pooled` and so on; empty where the finding is about none.
        failed, total: milli-units of the worse arm since the stream's last restart (or of the block).
        score, line: evidence and what was needed, in micro-nats (0 and 0 where there is no line).
        instance: all failures come from this one, though others had enough to do.
        shared: the control is over its line as well.
        other_failed, other_total: milli-units of the other arm, where the arms are compared.
    """

    guard: str
    rule: Rule
    stream: str
    effect: Effect
    failed: int = 0
    total: int = 0
    score: int = 0
    line: int = 0
    open_units: int = 0
    instance: str = ""
    shared: bool = False
    other_failed: int = 0
    other_total: int = 0

    def plain(self) -> dict[str, Any]:
        """The stored form."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def rank(self) -> tuple[int, bool, int]:
        """Sorts the worst first."""
        return _SEVERITY[self.effect], self.shared, self.line - self.score


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that a stage still lacks to pass: a name for programs and a text for people."""

    name: str
    text: str

    def plain(self) -> dict[str, Any]:
        """The stored form."""
        return {"name": self.name, "text": self.text}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a stream of a guard stands: the alternative nearest to its line, in micro-nats and milli-units."""

    guard: str
    stream: str
    score: int
    line: int
    failed: int
    total: int

    def plain(self) -> dict[str, Any]:
        """The stored form."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def permille_of_line(self) -> int:
        """The evidence in permille of what is needed; 0 where nothing failed, whatever head start a stream has."""
        return max(0, 1000 * self.score // self.line) if self.failed else 0


@dataclass(frozen=True, slots=True)
class Analysis:
    """The judge's word on one slot.

    Attributes:
        verdict: fail, pass (this stage is proven) or inconclusive.
        findings: what was found, the worst first.
        lacking: why it does not pass; empty on a pass.
        evidence: per guard and stream.
        notes: what people should know besides, such as a guard that is inactive.
    """

    seq: int
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    lacking: tuple[Lack, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def worst(self) -> Finding | None:
        """The finding that speaks for all."""
        return self.findings[0] if self.findings else None

    @property
    def effect(self) -> Effect | None:
        """What the worst finding does."""
        return self.findings[0].effect if self.findings else None
