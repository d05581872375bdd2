"""Conditions compiled to closures: done once for a snapshot, so that nothing is interpreted when somebody asks."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from controller.domain.conditions import (
    NUMERIC,
    TARGETING_KEY,
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    InSegment,
    Not,
    Operator,
    Scalar,
)
from controller.domain.errors import Invalid
from controller.domain.semver import comparison as version_range

#: Whether a targeting key (or none) with these attributes fits; never raises, whatever the attributes are.
Matcher = Callable[[str | None, Mapping[str, Any]], bool]
#: Whether a value fits.
_Check = Callable[[Any], bool]

#: A tuple, since a union is looked through more slowly.
_PLAIN = (int, float)
_NUMBERS: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.MORE_THAN: operator.gt,
    Operator.AT_LEAST: operator.ge,
    Operator.LESS_THAN: operator.lt,
    Operator.AT_MOST: operator.le,
}


def compile_condition(condition: Condition, segments: Mapping[str, Matcher]) -> Matcher:
    """The condition as one function.

    Raises:
        Invalid: it names a segment that is not among `segments`.
    """
    match condition:
        case Comparison():
            return _on_attribute(condition.attribute, _check_of(condition))
        case AllOf(parts):
            return _all(tuple(compile_condition(part, segments) for part in parts))
        case AnyOf(parts):
            return _any(tuple(compile_condition(part, segments) for part in parts))
        case Not(part):
            matcher = compile_condition(part, segments)
            return lambda key, attributes: not matcher(key, attributes)
        case InSegment(name):
            if name not in segments:
                raise Invalid(f"there is no segment {name!r}; `canary segment list` shows them", field="segment")
            return segments[name]


def _all(parts: tuple[Matcher, ...]) -> Matcher:
    def matches(key: str | None, attributes: Mapping[str, Any]) -> bool:
        for part in parts:  # noqa: SIM110 - a generator would cost as much as the tests themselves
            if not part(key, attributes):
                return False
        return True

    return matches


def _any(parts: tuple[Matcher, ...]) -> Matcher:
    def matches(key: str | None, attributes: Mapping[str, Any]) -> bool:
        for part in parts:  # noqa: SIM110 - see above
            if part(key, attributes):
                return True
        return False

    return matches


def _on_attribute(name: str, check: _Check) -> Matcher:
    if name == TARGETING_KEY:
        return lambda key, _: check(key)
    if "." not in name:
        return lambda _, attributes: check(attributes.get(name))
    path = tuple(name.split("."))

    def matches(_: str | None, attributes: Mapping[str, Any]) -> bool:
        found: Any = attributes
        for part in path:
            if found.__class__ is not dict and not isinstance(found, Mapping):  # the second look is a slow one
                return False
            found = found.get(part)
        return check(found)

    return matches


def _check_of(wanted: Comparison) -> _Check:
    if wanted.operator in NUMERIC:
        return _number(_NUMBERS[wanted.operator], wanted.operands[0])
    if wanted.operator is Operator.SEMVER:
        fits = version_range(str(wanted.operands[0]))
        return lambda found: isinstance(found, str) and fits(found)
    texts = tuple(str(value) for value in wanted.operands)
    match wanted.operator:
        case Operator.STARTS_WITH:
            return lambda found: isinstance(found, str) and found.startswith(texts)
        case Operator.ENDS_WITH:
            return lambda found: isinstance(found, str) and found.endswith(texts)
        case Operator.CONTAINS:
            return _contains(texts)
        case _:
            return _one_of(wanted.operands)


def _number(compare: Callable[[Any, Any], bool], limit: Scalar) -> _Check:
    def fits(found: Any) -> bool:
        return isinstance(found, _PLAIN) and found is not True and found is not False and compare(found, limit)

    return fits


def _contains(texts: tuple[str, ...]) -> _Check:
    """A part of a text, or an element of a list."""
    wanted = frozenset(texts)

    def fits(found: Any) -> bool:
        if isinstance(found, str):
            for text in texts:  # noqa: SIM110 - see above
                if text in found:
                    return True
            return False
        return isinstance(found, list | tuple) and any(isinstance(part, str) and part in wanted for part in found)

    return fits


def _one_of(values: tuple[Scalar, ...]) -> _Check:
    texts = frozenset(value for value in values if isinstance(value, str))
    truths = frozenset(value for value in values if isinstance(value, bool))
    numbers = frozenset(v for v in values if isinstance(v, int | float) and not isinstance(v, bool))

    def fits(found: Any) -> bool:
        if isinstance(found, str):
            return found in texts
        if isinstance(found, bool):  # before numbers: Python counts true as 1
            return found in truths
        return isinstance(found, _PLAIN) and found in numbers

    if len(values) == 1 and texts:
        text = values[0]
        return lambda found: isinstance(found, str) and found == text
    return fits
