"""The constants of a rollout's judge: computed once, at start, then stored with the rollout and never again.

All are whole numbers: evidence in micro-nats (a millionth of a natural-log unit), tallies in milli-units, rates in
parts of a million. `freeze.py` makes them; docs/judge.md carries the derivation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import Any

from controller.domain.judge.points import Score

#: The form of the constants; a release that does not know a form pauses rather than guesses.
FORM = 2


@dataclass(frozen=True, slots=True)
class StreamLines:
    """One stream of an at-least guard.

    Attributes:
        gauges: the gauges of the units that are open in it.
        lines: the evidence needed against each alternative.
        block: the milli-units of one block of the plain rule.
    """

    stream: str
    gauges: tuple[str, ...]
    lines: tuple[int, ...]
    block: int


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A guard that asks for a rate.

    Attributes:
        allowed_ppm: the failure rate above which a canary may be convicted; 50,000 for `at_least: 95%`.
        floor_ppm: the rate above which it never is, but for alpha.
        scores: points by alternative.
        proofs: the streams that a stage must prove to be better than the threshold, by `proof_scores`.
    """

    guard: str
    action: str
    metric: str
    deadline_ms: int
    allowed_ppm: int
    floor_ppm: int
    scores: tuple[Score, ...]
    streams: tuple[StreamLines, ...]
    proofs: tuple[str, ...]
    proof_scores: tuple[Score, ...]
    proof_line: int


@dataclass(frozen=True, slots=True)
class Level:
    """One level of failure, in parts of a million, with the scores of the alternatives that could reject it."""

    ppm: int
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two levels a margin apart: "the worse arm fails more than `worse`" and "the better one less than `better`"."""

    worse: Level
    better: Level


@dataclass(frozen=True, slots=True)
class Margin:
    """A guard that compares the arms.

    Attributes:
        worse: the arm that fails the guard when it is worse by more than the margin.
        streams: what is compared, added up and divided by `divisor`.
    """

    guard: str
    action: str
    metric: str
    deadline_ms: int
    worse: str
    margin_ppm: int
    streams: tuple[str, ...]
    gauges: tuple[str, ...]
    divisor: int
    pairs: tuple[Pair, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Promotion:
    """What a stage must prove besides the guards' proofs: the canary is not worse than the control plus a margin."""

    streams: tuple[str, ...]
    divisor: int
    canary_levels: tuple[Level, ...]
    control_levels: tuple[Level, ...]
    line: int
    margin_ppm: int


@dataclass(frozen=True, slots=True)
class Silence:
    """What is asked of canaries that do not speak, and of the share of users.

    Attributes:
        reporting: points per unit that has spoken and per unit that was due, by alternative.
        ratio_factors: the alternatives of the sample ratio, as factors of the odds, in parts of a million.
    """

    reporting: tuple[Score, ...]
    reporting_line: int
    ratio_factors: tuple[int, ...]
    ratio_line: int


@dataclass(frozen=True)
class Constants:
    """Everything the judge needs besides the ledger.

    Attributes:
        unit: what counts once.
        outcomes: the streams of delivery, by which traffic is known.
        start: the evidence that every stream starts with.
        least_failed: milli-units; a conviction needs more than this, where three units are active.
    """

    form: int
    unit: str
    alpha_ppm: int
    outcomes: tuple[str, ...]
    tests: tuple[AtLeast, ...]
    margins: tuple[Margin, ...]
    promotion: Promotion
    silence: Silence
    start: int
    least_failed: int
    min_users: int
    min_samples: int

    def canonical(self) -> str:
        """The stored form: sorted JSON without spaces."""
        return self._canonical

    def digest(self) -> str:
        """A short hash that every analysis carries, so that a changed constant is noticed."""
        return self._digest

    @cached_property
    def _canonical(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @cached_property
    def _digest(self) -> str:
        return blake2b(self._canonical.encode(), digest_size=16).hexdigest()


class UnknownConstants(ValueError):
    """These constants were frozen by another release in a form that this one cannot judge by."""


@lru_cache(maxsize=2_048)
def from_canonical(text: str) -> Constants:
    """The constants of a stored rollout, exactly as they were; kept, since every tick asks for them.

    Raises:
        UnknownConstants: they have a form that this release does not know.
    """
    raw: Any = json.loads(text)
    form = raw.get("form") if isinstance(raw, dict) else None
    if form != FORM:
        raise UnknownConstants(f"constants of form {form!r}; this release judges by form {FORM}")
    try:
        return _constants(raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnknownConstants(f"constants of form {form} that this release cannot read: {error}") from None


def _constants(raw: dict[str, Any]) -> Constants:
    promotion, silence = raw["promotion"], raw["silence"]
    raw["tests"] = tuple(_at_least(test) for test in raw["tests"])
    raw["margins"] = tuple(_margin(margin) for margin in raw["margins"])
    raw["outcomes"] = tuple(raw["outcomes"])
    for name in ("canary_levels", "control_levels"):
        promotion[name] = tuple(_level(level) for level in promotion[name])
    promotion["streams"] = tuple(promotion["streams"])
    raw["promotion"] = Promotion(**promotion)
    silence["reporting"] = _scores(silence["reporting"])
    silence["ratio_factors"] = tuple(silence["ratio_factors"])
    raw["silence"] = Silence(**silence)
    return Constants(**raw)


def _at_least(raw: dict[str, Any]) -> AtLeast:
    for name in ("scores", "proof_scores"):
        raw[name] = _scores(raw[name])
    raw["proofs"] = tuple(raw["proofs"])
    raw["streams"] = tuple(
        StreamLines(lines["stream"], tuple(lines["gauges"]), tuple(lines["lines"]), lines["block"])
        for lines in raw["streams"]
    )
    return AtLeast(**raw)


def _margin(raw: dict[str, Any]) -> Margin:
    raw["pairs"] = tuple(Pair(_level(pair["worse"]), _level(pair["better"])) for pair in raw["pairs"])
    raw["streams"], raw["gauges"] = tuple(raw["streams"]), tuple(raw["gauges"])
    return Margin(**raw)


def _level(raw: dict[str, Any]) -> Level:
    return Level(raw["ppm"], _scores(raw["scores"]))


def _scores(rows: Iterable[list[int]]) -> tuple[Score, ...]:
    return tuple((failed, delivered) for failed, delivered in rows)
