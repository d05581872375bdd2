"""How an answer is reached: a published flag compiled once, so that asking is a look-up, a hash and a comparison.

This is the one meaning of a flag. The provider in an application, the controller that answers over OFREP, and the
export to flagd all rest on it; what differs is only the form of an answer, which the caller passes in as `dress`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from controller.domain.bucketing import WHOLE, chooser
from controller.domain.conditions import Condition
from controller.domain.flags import Value
from controller.domain.matching import Matcher, compile_condition
from controller.domain.snapshots import PublishedFlag
from controller.domain.targeting import Rule, share_salt

A = TypeVar("A")

#: Answers a targeting key (or none) and attributes. None: users are split, and without a key nobody can be held to a
#: bucket; serve the control.
Choice = Callable[[str | None, Mapping[str, Any]], A | None]
#: Turns an answer into the form that somebody needs; called once for each answer that a flag can give.
Dress = Callable[["Evaluation"], A]

NO_ATTRIBUTES: Mapping[str, Any] = MappingProxyType({})


class Reason(StrEnum):
    """Why a variant was served: OpenFeature's reasons."""

    STATIC = "STATIC"
    DEFAULT = "DEFAULT"
    TARGETING_MATCH = "TARGETING_MATCH"
    SPLIT = "SPLIT"
    DISABLED = "DISABLED"
    STALE = "STALE"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One answer.

    Attributes:
        governed: the rollout assigned it, by its share and nothing else: only such answers are evidence.
        rule: which rule or list decided: its name, or `#1` for the first; empty where none did.
    """

    variant: str
    value: Value
    reason: Reason
    governed: bool = False
    rule: str = ""


def compile_flag(flag: PublishedFlag, segments: Mapping[str, Matcher], dress: Dress[A]) -> Choice[A]:
    """Prepare every answer that the flag can give; the result never raises for text or None as a key.

    A killed flag serves its control. Then targeting decides, and whoever it leaves over gets the rollout's share, or
    what is served to everybody.

    Raises:
        Invalid: a rule names a segment that is not among `segments`.
    """
    rollout = flag.rollout
    if not flag.enabled:
        return _always(dress(_answer(flag, flag.control, Reason.DISABLED)))
    if rollout is not None and 0 < rollout.weight < WHOLE:
        canary = dress(_answer(flag, rollout.canary, Reason.SPLIT, governed=True))
        control = dress(_answer(flag, rollout.control, Reason.SPLIT, governed=True))
        rest: Choice[A] = chooser(rollout.salt, rollout.weight, canary, control)
    else:
        rest = _always(dress(_everybody(flag)))
    return _targeted(flag, segments, dress, rest) if flag.targeting else rest


def lapsed_answer(flag: PublishedFlag) -> Evaluation | None:
    """Everybody's answer once the contact lease has run out; None where no rollout is live, so that there is none."""
    if flag.rollout is None or not flag.enabled:
        return None
    return _answer(flag, flag.rollout.control, Reason.STALE)


def keyless_answer(flag: PublishedFlag) -> Evaluation:
    """What a split answers without a targeting key."""
    return _answer(flag, flag.rollout.control if flag.rollout else flag.control, Reason.DEFAULT)


def compile_segments(segments: Mapping[str, Condition]) -> dict[str, Matcher]:
    """The segments of a snapshot, each compiled once however many rules name it."""
    return {key: compile_condition(condition, {}) for key, condition in segments.items()}


def evaluate(
    flag: PublishedFlag,
    targeting_key: str | None,
    attributes: Mapping[str, Any] = NO_ATTRIBUTES,
    *,
    segments: Mapping[str, Condition] = NO_ATTRIBUTES,
    lapsed: bool = False,
) -> Evaluation:
    """One answer, for whoever asks once."""
    choose = compile_flag(flag, compile_segments(segments), _as_it_is)
    return (lapsed_answer(flag) if lapsed else None) or choose(targeting_key, attributes) or keyless_answer(flag)


def _as_it_is(answer: Evaluation) -> Evaluation:
    return answer


def _always(answer: A) -> Choice[A]:
    return lambda _key, _attributes: answer


def _everybody(flag: PublishedFlag) -> Evaluation:
    reason = Reason.DEFAULT if flag.targeting else Reason.STATIC
    rollout = flag.rollout
    if rollout is None:
        return _answer(flag, flag.served, reason)
    return _answer(flag, rollout.canary if rollout.weight else rollout.control, reason, governed=True)


def _targeted(flag: PublishedFlag, segments: Mapping[str, Matcher], dress: Dress[A], rest: Choice[A]) -> Choice[A]:
    rules = tuple(
        _rule(flag, rule, rule.name or f"#{at}", segments, dress) for at, rule in enumerate(flag.targeting.rules, 1)
    )
    choice = _ruled(rules, rest) if rules else rest
    listed = _listed(flag, dress)
    if not listed:
        return choice

    def choose(key: str | None, attributes: Mapping[str, Any]) -> A | None:
        found = listed.get(key) if key is not None else None
        return choice(key, attributes) if found is None else found

    return choose


def _ruled(rules: tuple[tuple[Matcher, Choice[A]], ...], rest: Choice[A]) -> Choice[A]:
    def choose(key: str | None, attributes: Mapping[str, Any]) -> A | None:
        for fits, choice in rules:
            if fits(key, attributes):
                return choice(key, attributes)
        return rest(key, attributes)

    return choose


def _listed(flag: PublishedFlag, dress: Dress[A]) -> dict[str, A]:
    denied = dress(_answer(flag, flag.control, Reason.TARGETING_MATCH, rule="deny"))
    listed = dict.fromkeys(flag.targeting.deny, denied)
    for variant, keys in flag.targeting.allow.items():
        answer = dress(_answer(flag, variant, Reason.TARGETING_MATCH, rule="allow"))
        listed |= dict.fromkeys((key for key in keys if key not in listed), answer)
    return listed


def _rule(
    flag: PublishedFlag, rule: Rule, name: str, segments: Mapping[str, Matcher], dress: Dress[A]
) -> tuple[Matcher, Choice[A]]:
    fits = compile_condition(rule.when, segments) if rule.when is not None else _anybody
    if rule.weight == WHOLE:
        answer = dress(_answer(flag, rule.serve, Reason.TARGETING_MATCH, rule=name))
        return fits, _always(answer)
    chosen = dress(_answer(flag, rule.serve, Reason.SPLIT, rule=name))
    others = dress(_answer(flag, flag.control, Reason.SPLIT, rule=name))
    return fits, chooser(share_salt(flag.key), rule.weight, chosen, others)


def _anybody(_key: str | None, _attributes: Mapping[str, Any]) -> bool:
    return True


def _answer(flag: PublishedFlag, variant: str, reason: Reason, *, governed: bool = False, rule: str = "") -> Evaluation:
    return Evaluation(variant, flag.variants[variant], reason, governed, rule)
