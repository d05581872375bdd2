"""The written form of targeting: in the REST API, in files of the command line, in rows, and in the snapshot.

`docs/flags.md` shows it with examples.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from controller.domain.bucketing import WHOLE
from controller.domain.conditions import (
    TEXTUAL,
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    InSegment,
    Not,
    Operator,
    Scalar,
)
from controller.domain.durations import parts_of, percent_text
from controller.domain.errors import Invalid
from controller.domain.targeting import NO_TARGETING, Rule, Targeting
from controller.wire.codec import convert

Text = str | list[str]
_MOST_DEPTH = 20


class ConditionForm(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An attribute with one comparison; or `and`, `or`, `not`; or the name of a segment."""

    attribute: str | None = None
    equals: Scalar | None = None
    in_: list[Scalar] | None = msgspec.field(name="in", default=None)
    starts_with: Text | None = None
    ends_with: Text | None = None
    contains: Text | None = None
    more_than: int | float | None = None
    at_least: int | float | None = None
    less_than: int | float | None = None
    at_most: int | float | None = None
    semver: str | None = None
    and_: list[ConditionForm] | None = msgspec.field(name="and", default=None)
    or_: list[ConditionForm] | None = msgspec.field(name="or", default=None)
    not_: ConditionForm | None = msgspec.field(name="not", default=None)
    segment: str | None = None


class RuleForm(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`{name: staff, when: {...}, serve: unified, share: 20%}`; without `when` it fits everybody."""

    serve: str
    when: ConditionForm | None = None
    share: str = "100%"
    name: str = ""


class TargetingForm(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Who gets which variant before the split: first deny, then allow, then the rules in order."""

    deny: list[str] = []
    allow: dict[str, list[str]] = {}
    rules: list[RuleForm] = []
    prerequisites: Annotated[list[Any], Meta(description="Refused: see docs/flags.md.")] = []


def targeting_of(form: TargetingForm, field: str = "targeting") -> Targeting:
    """The targeting that a form stands for; `Flag` checks it against the variants.

    Raises:
        Invalid: a condition or a share cannot be read, or flags are to depend on flags; the error names the field.
    """
    refuse_prerequisites(form.prerequisites, f"{field}.prerequisites")
    if not (form.deny or form.allow or form.rules):
        return NO_TARGETING
    rules = tuple(_rule(rule, f"{field}.rules[{at}]") for at, rule in enumerate(form.rules))
    allow = {variant: tuple(keys) for variant, keys in form.allow.items() if keys}
    return Targeting(tuple(form.deny), MappingProxyType(allow), rules)


def refuse_prerequisites(wanted: list[Any], field: str) -> None:
    """Say why flags do not depend on flags, and what to do instead.

    Raises:
        Invalid: there are any.
    """
    if wanted:
        raise Invalid(
            "flags do not depend on other flags here, since a rollback of one would silently move users of another; "
            "write the condition as a segment that both flags name",
            field=field,
        )


def form_of(targeting: Targeting) -> TargetingForm:
    """The form of a targeting; reading it again gives the same."""
    rules = [_rule_form(rule) for rule in targeting.rules]
    return TargetingForm(list(targeting.deny), {name: list(keys) for name, keys in targeting.allow.items()}, rules)


def condition_of(form: ConditionForm, field: str, depth: int = 1) -> Condition:
    """The condition that a form stands for.

    Raises:
        Invalid: it says nothing, or several things at once; the error names the field.
    """
    if depth > _MOST_DEPTH:
        raise Invalid("conditions are nested too deep", field=field)
    said = [name for name in form.__struct_fields__ if name != "attribute" and getattr(form, name) is not None]
    if len(said) != 1 or (form.attribute is not None) != (said[0] in _COMPARISONS):
        raise Invalid(
            "write an attribute with one comparison (equals, in, starts_with, ends_with, contains, more_than, "
            "at_least, less_than, at_most, semver), or one of and, or, not, segment",
            field=field,
        )
    if form.attribute is not None:
        return _comparison(form.attribute, _COMPARISONS[said[0]], getattr(form, said[0]))
    if form.not_ is not None:
        return Not(condition_of(form.not_, f"{field}.not", depth + 1))
    if form.segment is not None:
        return InSegment(form.segment)
    name, forms = ("and", form.and_) if form.and_ is not None else ("or", form.or_ or [])
    parts = tuple(condition_of(part, f"{field}.{name}[{at}]", depth + 1) for at, part in enumerate(forms))
    return AllOf(parts) if name == "and" else AnyOf(parts)


def condition_form(condition: Condition) -> ConditionForm:
    """The form of a condition; reading it again gives the same."""
    match condition:
        case Comparison(attribute, operator, operands):
            several = operator is Operator.IN or (operator in TEXTUAL and len(operands) > 1)
            value: Any = list(operands) if several else operands[0]
            return ConditionForm(attribute=attribute, **{_NAMES[operator]: value})
        case AllOf(parts):
            return ConditionForm(and_=[condition_form(part) for part in parts])
        case AnyOf(parts):
            return ConditionForm(or_=[condition_form(part) for part in parts])
        case Not(part):
            return ConditionForm(not_=condition_form(part))
        case InSegment(segment):
            return ConditionForm(segment=segment)


def plain_condition(condition: Condition) -> Any:
    """A condition as plain dicts and lists, for a row."""
    return msgspec.to_builtins(condition_form(condition))


def plain_targeting(targeting: Targeting) -> Any:
    """A targeting as plain dicts and lists, for a row."""
    return msgspec.to_builtins(form_of(targeting))


def read_condition(document: object) -> Condition:
    """The condition of `plain_condition`."""
    return condition_of(convert(document, ConditionForm), "when")


def read_targeting(document: object) -> Targeting:
    """The targeting of `plain_targeting`."""
    return targeting_of(convert(document, TargetingForm))


#: The names of the fields, where the written name is a word of the language.
_NAMES = {operator: {"in": "in_"}.get(operator.value, operator.value) for operator in Operator}
_COMPARISONS = {name: operator for operator, name in _NAMES.items()}


def _rule(form: RuleForm, field: str) -> Rule:
    when = condition_of(form.when, f"{field}.when") if form.when is not None else None
    return Rule(form.serve, when, parts_of(form.share, f"{field}.share", WHOLE), form.name)


def _rule_form(rule: Rule) -> RuleForm:
    form = RuleForm(rule.serve, condition_form(rule.when) if rule.when is not None else None, name=rule.name)
    if rule.weight != WHOLE:
        form.share = percent_text(rule.weight)
    return form


def _comparison(attribute: str, operator: Operator, value: Any) -> Comparison:
    return Comparison(attribute, operator, tuple(value) if isinstance(value, list) else (value,))
