"""Conditions on who asks: tests of attributes, joined by and, or and not, or given a name as a segment.

A condition is data. `controller.domain.matching` compiles it once; `controller.domain.flagd` writes it as JsonLogic.
Types are strict: the number 1 is neither the text "1" nor true, and an attribute that is missing passes no test.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from controller.domain.errors import Invalid
from controller.domain.semver import split_range

#: What an attribute is compared with.
Scalar = str | int | float | bool

#: The attribute that is the targeting key.
TARGETING_KEY = "targetingKey"

#: Values of one list.
MOST_VALUES = 10_000
#: Characters of a value or a targeting key in a list.
LONGEST_VALUE = 1_000

_MOST_NUMBER = 2**53
_MOST_PARTS = 100
_MOST_DEPTH = 8
_PART = r"[A-Za-z_][A-Za-z0-9_-]{0,99}"
_ATTRIBUTE = re.compile(rf"{_PART}(?:\.{_PART}){{0,7}}")


class Operator(StrEnum):
    """How an attribute is compared; the names of the written form."""

    EQUALS = "equals"
    IN = "in"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    CONTAINS = "contains"
    MORE_THAN = "more_than"
    AT_LEAST = "at_least"
    LESS_THAN = "less_than"
    AT_MOST = "at_most"
    SEMVER = "semver"


#: Those that look at text; any of several values will do.
TEXTUAL = (Operator.STARTS_WITH, Operator.ENDS_WITH, Operator.CONTAINS)
#: Those that look at numbers.
NUMERIC = (Operator.MORE_THAN, Operator.AT_LEAST, Operator.LESS_THAN, Operator.AT_MOST)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison of one attribute.

    Attributes:
        attribute: its name; dots lead into nested objects (`user.plan`).
        operands: what it is compared with: one value, or several of which any will do (in, starts_with, ends_with,
            contains).
    """

    attribute: str
    operator: Operator
    operands: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """And."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Or."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not."""

    part: Condition


@dataclass(frozen=True, slots=True)
class InSegment:
    """Whoever a segment of this key describes."""

    segment: str


Condition = Comparison | AllOf | AnyOf | Not | InSegment


def check_condition(condition: Condition, field: str) -> None:
    """Check a condition as a whole.

    Raises:
        Invalid: a name or value does not fit, or there is too much of it; the error names the field.
    """
    if sum(1 for _ in parts_of(condition)) > _MOST_PARTS:
        raise Invalid(f"a condition has at most {_MOST_PARTS} parts; use a segment, or several rules", field=field)
    _check(condition, field, 1)


def parts_of(condition: Condition) -> Iterator[Condition]:
    """The condition and everything within it."""
    waiting: list[Condition] = [condition]
    while waiting:
        found = waiting.pop()
        yield found
        if isinstance(found, AllOf | AnyOf):
            waiting += found.parts
        elif isinstance(found, Not):
            waiting.append(found.part)


def segments_in(condition: Condition) -> frozenset[str]:
    """The keys of the segments that a condition names."""
    return frozenset(part.segment for part in parts_of(condition) if isinstance(part, InSegment))


def _check(condition: Condition, field: str, depth: int) -> None:
    if depth > _MOST_DEPTH:
        raise Invalid(f"conditions are nested at most {_MOST_DEPTH} deep", field=field)
    match condition:
        case Comparison():
            _check_attribute(condition.attribute, field)
            _check_operands(condition, f"{field}.{condition.operator.value}")
        case AllOf() | AnyOf():
            name = "and" if isinstance(condition, AllOf) else "or"
            if not condition.parts:
                raise Invalid("give at least one condition", field=f"{field}.{name}")
            for at, part in enumerate(condition.parts):
                _check(part, f"{field}.{name}[{at}]", depth + 1)
        case Not():
            _check(condition.part, f"{field}.not", depth + 1)
        case InSegment():
            pass


def _check_attribute(name: str, field: str) -> None:
    parts = name.split(".")
    # The names below mean something else to evaluators that are written in other languages.
    odd = any(part.startswith("__") or part in {"length", "constructor", "prototype"} for part in parts)
    if odd or len(name) > 200 or not _ATTRIBUTE.fullmatch(name):
        raise Invalid(
            f"{name[:80]!r} is no attribute here: use letters, digits, _ and -, a letter first; dots lead into objects",
            field=f"{field}.attribute",
        )


def _check_operands(comparison: Comparison, field: str) -> None:
    if not 1 <= len(comparison.operands) <= MOST_VALUES:
        raise Invalid(f"give 1 to {MOST_VALUES} values", field=field)
    for at, value in enumerate(comparison.operands):
        _check_value(comparison.operator, value, f"{field}[{at}]" if len(comparison.operands) > 1 else field)
    if comparison.operator is Operator.SEMVER:
        split_range(str(comparison.operands[0]), field)


def _check_value(operator: Operator, value: Scalar, field: str) -> None:
    textual = operator in TEXTUAL or operator is Operator.SEMVER
    if textual and not (isinstance(value, str) and value):
        raise Invalid(f"{operator.value} compares with text that is not empty", field=field)
    if operator in NUMERIC and (isinstance(value, str | bool) or not isinstance(value, int | float)):
        raise Invalid(f"{operator.value} compares with a number", field=field)
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        raise Invalid(f"a value has at most {LONGEST_VALUE} characters", field=field)
    if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= _MOST_NUMBER):
        raise Invalid("numbers are finite and at most 2^53, so that every language reads the same", field=field)
    if not isinstance(value, str | int | float):
        raise Invalid("compare with text, a number, true or false", field=field)
