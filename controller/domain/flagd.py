"""Flags as flagd reads them: a document of definitions in JsonLogic that decides for every user as this project does.

flagd has hashed users in three ways so far, and nothing in a document tells an evaluator which one it uses. The
bucketing of this export finds that out: it pads what is hashed to 120 ASCII characters, so that its CBOR head is the
constant "xx", and puts that head in front exactly where the evaluator does not (`fractional` of a constant tells).
Evaluators that hash raw text and those that hash CBOR then agree. Ids beyond ASCII agree with the latter alone.
"""

from __future__ import annotations

from typing import Any

from controller.domain.bucketing import LENGTH, PAD, WHOLE
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
from controller.domain.semver import split_range
from controller.domain.snapshots import PublishedFlag, PublishedRollout, Snapshot
from controller.domain.targeting import Rule, share_salt

#: A document or a part of it, as JSON has it.
Logic = Any

SCHEMA = "https://flagd.dev/schema/v0/flags.json"
#: The document's metadata that says which flags it leaves out, and why.
REFUSED = "notExported"

_KEY: Logic = {"var": TARGETING_KEY}
#: "xx" where the evaluator hashes raw text, nothing where it hashes CBOR and so has the head already.
_HEAD: Logic = {"fractional": [{"cat": ["p", "1"]}, ["xx", 1], ["", 1]]}
_NUMERIC = {
    Operator.MORE_THAN: ">",
    Operator.AT_LEAST: ">=",
    Operator.LESS_THAN: "<",
    Operator.AT_MOST: "<=",
}


def document(snapshot: Snapshot) -> tuple[dict[str, Logic], dict[str, str]]:
    """The definitions of all flags, and which flags flagd cannot have, with the reason.

    Segments are written out where they are named: evaluators replace references by text, and not alike. A killed flag
    is enabled there and serves its control to everybody; flagd's own DISABLED would leave it to each caller.
    """
    flags: dict[str, Logic] = {}
    refused: dict[str, str] = {}
    for key in sorted(snapshot.flags):
        flag = snapshot.flags[key]
        why = _why_not(flag)
        if why:
            refused[key] = why
        else:
            flags[key] = _definition(flag, snapshot)
    metadata: dict[str, Logic] = {"flagSetId": snapshot.environment}
    if refused:
        metadata[REFUSED] = "; ".join(f"{key}: {why}" for key, why in refused.items())
    return {"$schema": SCHEMA, "flags": flags, "metadata": metadata}, refused


def _why_not(flag: PublishedFlag) -> str:
    if any(isinstance(value, list) for value in flag.variants.values()):
        return "a variant is a list, and flagd has objects only"
    return ""


def _definition(flag: PublishedFlag, snapshot: Snapshot) -> Logic:
    metadata: dict[str, Logic] = {"version": flag.version}
    rollout = flag.rollout if flag.enabled else None
    if rollout is not None:
        metadata |= {"rollout": rollout.key, "epoch": rollout.epoch}
    default, targeting = _decisions(flag, rollout, snapshot) if flag.enabled else (flag.control, {})
    return {
        "state": "ENABLED",
        "variants": dict(flag.variants),
        "defaultVariant": default,
        "targeting": targeting,
        "metadata": metadata,
    }


def _decisions(flag: PublishedFlag, rollout: PublishedRollout | None, snapshot: Snapshot) -> tuple[str, Logic]:
    """The default variant, and the rules that come before it in the order of `Targeting`."""
    default, split = _rest(flag, rollout)
    steps: list[Logic] = []
    if flag.targeting.deny:
        steps += [_listed(flag.targeting.deny), flag.control]
    for variant, keys in sorted(flag.targeting.allow.items()):
        steps += [_listed(keys), variant]
    for rule in flag.targeting.rules:
        when = _condition(rule.when, snapshot) if rule.when is not None else True
        steps += [when, _serving(flag, rule)]
    if not steps:
        return default, split or {}
    return default, {"if": [*steps, split or default]}


def _rest(flag: PublishedFlag, rollout: PublishedRollout | None) -> tuple[str, Logic | None]:
    if rollout is None:
        return flag.served, None
    if rollout.weight in (0, WHOLE):
        return (rollout.canary if rollout.weight else rollout.control), None
    return rollout.control, _split(rollout.salt, rollout.weight, rollout.canary, rollout.control)


def _serving(flag: PublishedFlag, rule: Rule) -> Logic:
    if rule.weight == WHOLE:
        return rule.serve
    return _split(share_salt(flag.key), rule.weight, rule.serve, flag.control)


def _split(salt: str, weight: int, chosen: str, other: str) -> Logic:
    """`sees_canary` as a rule: the chosen variant first and the sum of the weights constant, so that it only grows."""
    by = {"cat": [_HEAD, {"substr": [{"cat": [PAD, salt, "/", _KEY]}, -LENGTH]}]}
    # Without a key something would be hashed all the same.
    return {"if": [{"!!": [_KEY]}, {"fractional": [by, [chosen, weight], [other, WHOLE - weight]]}, other]}


def _listed(keys: tuple[str, ...]) -> Logic:
    return {"in": [_KEY, list(keys)]}


def _condition(condition: Condition, snapshot: Snapshot) -> Logic:
    match condition:
        case Comparison():
            return _comparison(condition)
        case AllOf(parts):
            return {"and": [_condition(part, snapshot) for part in parts]}
        case AnyOf(parts):
            return {"or": [_condition(part, snapshot) for part in parts]}
        case Not(part):
            return {"!": [_condition(part, snapshot)]}
        case InSegment(segment):
            return _condition(snapshot.segments[segment], snapshot)


def _comparison(comparison: Comparison) -> Logic:
    found: Logic = {"var": comparison.attribute}
    operator, operands = comparison.operator, comparison.operands
    if operator in NUMERIC:
        return {"and": [*_is_number(comparison.attribute), {_NUMERIC[operator]: [found, operands[0]]}]}
    if operator is Operator.SEMVER:
        sign, version = split_range(str(operands[0]), "semver")
        return {"and": [_is_text(found), {"sem_ver": [found, sign, version]}]}
    if operator in (Operator.STARTS_WITH, Operator.ENDS_WITH):
        return _any([{operator.value: [found, text]} for text in operands])
    if operator is Operator.CONTAINS:
        return _any([_contains(found, text) for text in operands])
    return _one_of(found, operands)


def _one_of(found: Logic, values: tuple[Scalar, ...]) -> Logic:
    """Membership with strict types, also where an evaluator is written in a language that counts true as 1."""
    plain = [v for v in values if isinstance(v, str) or (not isinstance(v, bool) and v not in (0, 1))]
    others: list[Logic] = [_same(found, v) for v in values if not isinstance(v, str) and v in (0, 1)]
    return _any([*([{"in": [found, plain]}] if plain else []), *others])


def _same(found: Logic, value: Scalar) -> Logic:
    truth = _is_truth(found)
    return {"and": [{"===": [found, value]}, truth if isinstance(value, bool) else {"!": [truth]}]}


def _contains(found: Logic, text: Scalar) -> Logic:
    """A part of a text, or an element of a list."""
    return {"or": [{"and": [_is_text(found), {"in": [text, found]}]}, {"in": [text, {"merge": [found]}]}]}


def _is_text(found: Logic) -> Logic:
    return {"===": [{"cat": [found]}, found]}


def _is_truth(found: Logic) -> Logic:
    """Beside a comparison that no text passes: whether it is true or false, as evaluators of two languages write it."""
    return {"in": [{"cat": [found]}, ["true", "True", "false", "False"]]}


def _is_number(attribute: str) -> list[Logic]:
    """What nothing but a number passes, without arithmetic: some evaluators fail where a text is no number."""
    found: Logic = {"var": attribute}
    neither_text_nor_list = {"===": [{"var": f"{attribute}.length"}, None]}
    other = {"in": [{"cat": [found]}, ["true", "True", "false", "False", "[object Object]"]]}
    return [neither_text_nor_list, {"!==": [found, None]}, {"!": [other]}]


def _any(parts: list[Logic]) -> Logic:
    return parts[0] if len(parts) == 1 else {"or": parts}
