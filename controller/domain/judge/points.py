"""Points of evidence in whole micro-nats, from exact fractions and decimal logarithms: the same on every machine."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_FLOOR, Context, Decimal
from fractions import Fraction

#: Points (for a failed, for a delivered unit) of one alternative.
Score = tuple[int, int]

MICRO = 1_000_000
#: The failure rate that the printed tables are for: `at_least: 95%`.
TABLE = Fraction(1, 20)
#: Far more digits than a rounding to a millionth can need; decimal logarithms are rounded correctly everywhere.
_EXACT = Context(prec=50)


def micro_ln(value: Fraction) -> int:
    """A million times the natural logarithm, rounded down."""
    exact = _EXACT.divide(Decimal(value.numerator), Decimal(value.denominator)).ln(_EXACT)
    return int(_EXACT.multiply(exact, MICRO).to_integral_value(ROUND_FLOOR))


def line(chance: Fraction) -> int:
    """The evidence beyond which a healthy path gets with this chance at most (Ville), in micro-nats, rounded up."""
    return -micro_ln(chance)


def score(alternative: Fraction, null: Fraction) -> Score:
    """Points for one failure and for one success, rounded towards no evidence."""
    return micro_ln(alternative / null), micro_ln((1 - alternative) / (1 - null))


def scores(alternatives: Iterable[Fraction], null: Fraction) -> tuple[Score, ...]:
    """The points of several alternatives against one null."""
    return tuple(score(alternative, null) for alternative in alternatives)


def odds(rate: Fraction) -> Fraction:
    """Failures per success."""
    return rate / (1 - rate)


def times_odds(rate: Fraction, factor: Fraction) -> Fraction:
    """The rate whose odds are `factor` times those of `rate`."""
    grown = factor * odds(rate)
    return grown / (1 + grown)


def scaled(rate: Fraction, threshold: Fraction) -> Fraction:
    """A failure rate of the printed tables carried over to another threshold, by its odds ratio to the table's.

    With the threshold of the tables (5 % failing) every rate is itself.
    """
    return times_odds(threshold, odds(rate) / odds(TABLE))
