"""The constants of the delivery guard: computed once, at start, then stored with the rollout and never again.

All are whole numbers in micro-nats (a millionth of a natural-log unit of evidence) or milli-units. Source: betting
e-processes for bounded outcomes with a mixture of alternatives; the lines come from Ville's inequality with alpha
split over streams, alternatives and restarts. docs/judge.md carries the derivation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b

from controller.domain.ledger import SLOT_MS, streams_of
from controller.domain.units import LATER, POOLED, UnitKind

_ALTERNATIVES = (0.05, 0.07, 0.11, 0.20, 0.45, 0.90)
_MIX = (0.25, 0.15, 0.15, 0.15, 0.15, 0.15)
_ALPHA_PER_DAY = 0.01
_RESTARTS_PER_DAY = 86_400_000 // SLOT_MS
#: Three quarters of alpha for "bad from the start", the rest over the restarts.
_HEAD = 0.75
_RESTART_SHARE = (1 - _HEAD) / _RESTARTS_PER_DAY
_ALPHA_PROMOTION = 0.01
_CANARY_LEVELS = (10, 15, 20, 25, 30, 35, 40, 45, 50)
_CONTROL_LEVELS = (5, 10, 15, 20, 25, 30, 35, 40)

#: Points (for a failed, for a delivered unit) of one alternative.
Score = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Level:
    """One level of failure, in permille, with the scores of the alternatives that could reject it."""

    permille: int
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class PromotionConstants:
    """What a stage must prove: every type above 95 %, and the canary not worse than the control plus a margin."""

    type_scores: tuple[Score, ...]
    type_line: int
    canary_levels: tuple[Level, ...]
    control_levels: tuple[Level, ...]
    level_line: int
    margin_permille: int


@dataclass(frozen=True, slots=True)
class Constants:
    """Everything the delivery guard needs besides the ledger.

    Attributes:
        floor_permille: the success that the canary is never convicted above, in permille.
        lines: per stream, the evidence needed against each alternative, in micro-nats.
        blocks: per stream, the milli-units of one block of the plain 95 % rule.
        start: the evidence that every stream starts with.
        least_failed: milli-units; a conviction needs more than this.
        pooled_divisor: what the sum over the types is divided by to count units.
    """

    kind: str
    floor_permille: int
    streams: tuple[str, ...]
    types: tuple[str, ...]
    scores: tuple[Score, ...]
    lines: Mapping[str, tuple[int, ...]]
    blocks: Mapping[str, int]
    start: int
    least_failed: int
    pooled_divisor: int
    promotion: PromotionConstants

    def canonical(self) -> str:
        """The stored form: sorted JSON without spaces."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """A short hash that every analysis carries, so that a changed constant is noticed."""
        return blake2b(self.canonical().encode(), digest_size=16).hexdigest()


def score(alternative: float, null: float) -> Score:
    """Micro-nats for one failure and for one success, rounded towards no evidence."""
    return math.floor(1e6 * math.log(alternative / null)), math.floor(1e6 * math.log((1 - alternative) / (1 - null)))


def alpha_shares(kind: UnitKind, types: tuple[str, ...]) -> dict[str, float]:
    """How the guard's alpha is split over its streams: 0.9 by type and 0.1 later, or by event half of it pooled."""
    if kind is UnitKind.EVENT:
        return {**{name: 0.5 / len(types) for name in types}, POOLED: 0.5}
    return {**{name: 0.9 / len(types) for name in types}, LATER: 0.1}


def delivery_constants(
    floor_permille: int, kind: UnitKind, types: tuple[str, ...], margin_permille: int = 10
) -> Constants:
    """The constants of `delivery_success at_least 95%` for a floor, a unit and its event types."""
    null = 1 - floor_permille / 1000
    scores = tuple(score(q, null) for q in _ALTERNATIVES)
    lines = {
        name: tuple(math.ceil(-1e6 * math.log(_ALPHA_PER_DAY * share * w * _RESTART_SHARE)) for w in _MIX)
        for name, share in alpha_shares(kind, types).items()
    }
    failed, delivered = scores[0]
    return Constants(
        kind=kind.value,
        floor_permille=floor_permille,
        streams=streams_of(kind, types),
        types=types,
        scores=scores,
        lines=lines,
        blocks={name: 1000 * -(-20 * line[0] // (failed + 19 * delivered)) for name, line in lines.items()},
        start=math.floor(1e6 * math.log(_HEAD / _RESTART_SHARE)),
        least_failed=2000,
        pooled_divisor=1 if kind is UnitKind.EVENT else len(types),
        promotion=_promotion(margin_permille),
    )


def _promotion(margin_permille: int) -> PromotionConstants:
    return PromotionConstants(
        type_scores=tuple(score(q, 0.05) for q in (0.0025, 0.01, 0.03, 0.04)),
        type_line=math.ceil(1e6 * math.log(4 / _ALPHA_PROMOTION)),
        canary_levels=tuple(_level(c, (0.25, 0.6, 0.85)) for c in _CANARY_LEVELS),
        control_levels=tuple(_level(b, (1.2, 1.5, 2.5)) for b in _CONTROL_LEVELS),
        level_line=math.ceil(1e6 * math.log(3 / (_ALPHA_PROMOTION / 2))),
        margin_permille=margin_permille,
    )


def _level(permille: int, factors: tuple[float, ...]) -> Level:
    return Level(permille, tuple(score(permille / 1000 * factor, permille / 1000) for factor in factors))


def from_canonical(text: str) -> Constants:
    """The constants of a stored rollout, exactly as they were."""
    raw = json.loads(text)
    promotion = raw.pop("promotion")
    for name in ("canary_levels", "control_levels"):
        promotion[name] = tuple(Level(level["permille"], _pairs(level["scores"])) for level in promotion[name])
    promotion["type_scores"] = _pairs(promotion["type_scores"])
    raw["scores"] = _pairs(raw["scores"])
    raw["lines"] = {name: tuple(line) for name, line in raw["lines"].items()}
    raw["streams"], raw["types"] = tuple(raw["streams"]), tuple(raw["types"])
    return Constants(**raw, promotion=PromotionConstants(**promotion))


def _pairs(rows: list[list[int]]) -> tuple[Score, ...]:
    return tuple((failed, delivered) for failed, delivered in rows)


def auto_floor_permille(delivered: int, total: int) -> int:
    """`floor: auto`: two points below the control's success over 24 h, in steps of half a point, 96 to 97.5 %.

    With fewer than 10,000 control outcomes it is 96 %.
    """
    if total < 10_000:
        return 960
    return min(975, max(960, (1000 * delivered // total - 20) // 5 * 5))
