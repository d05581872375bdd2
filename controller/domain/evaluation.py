"""How an answer is reached: a published flag compiled once, so that asking is a look-up, a hash and a comparison.

This is the one meaning of a flag. The provider in an application, the controller that answers over OFREP, and the
export to flagd all rest on it; what differs is only the form of an answer, which the caller passes in as `dress`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from controller.domain.bucketing import WHOLE, chooser
from controller.domain.conditions import Condition
from controller.domain.flags import Value
from controller.domain.matching import Matcher, compile_condition
from controller.domain.snapshots import PublishedFlag, PublishedRollout
from controller.domain.targeting import Rule, share_salt

A = TypeVar("A")

#: Answers a targeting key (or none) and attributes.
Choice = Callable[[str | None, Mapping[str, Any]], A]
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
        keyless: the split was asked without a targeting key, so that nobody can be held to it.
    """

    variant: str
    value: Value
    reason: Reason
    governed: bool = False
    rule: str = ""
    keyless: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CompiledFlag(Generic[A]):
    """A flag, ready to be asked.

    Attributes:
        fixed: everybody's answer, where it does not depend on who asks.
        choose: the answer for one who asks; never raises for text or None as a key.
        lapsed: everybody's answer after the contact lease has run out; None where no rollout is live.
    """

    fixed: A | None
    choose: Choice[A]
    lapsed: A | None


def compile_flag(
    flag: PublishedFlag, segments: Mapping[str, Matcher], dress: Callable[[Evaluation], A]
) -> CompiledFlag[A]:
    """Prepare every answer that the flag can give.

    A killed flag serves its control. Then targeting decides, and whoever it leaves over gets the rollout's share, or
    what is served to everybody. A split that is asked without a targeting key serves the control.

    Raises:
        Invalid: a rule names a segment that is not among `segments`.
    """
    if not flag.enabled:
        return _fixed(dress(_answer(flag, flag.control, Reason.DISABLED)))
    lapsed = dress(_answer(flag, flag.rollout.control, Reason.STALE)) if flag.rollout else None
    rest: A | Choice[A]
    if flag.rollout and 0 < flag.rollout.weight < WHOLE:
        rest = _split(flag, flag.rollout, dress)
    else:
        rest = dress(_everybody(flag))
        if not flag.targeting:
            return _fixed(rest, lapsed)
    return CompiledFlag(None, _targeted(flag, segments, dress, _choice(rest)), lapsed)


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
    compiled = compile_flag(flag, compile_segments(segments), _as_it_is)
    if lapsed and compiled.lapsed is not None:
        return compiled.lapsed
    return compiled.choose(targeting_key, attributes)


def _as_it_is(answer: Evaluation) -> Evaluation:
    return answer


def _fixed(answer: A, lapsed: A | None = None) -> CompiledFlag[A]:
    return CompiledFlag(answer, lambda _key, _attributes: answer, lapsed)


def _choice(rest: A | Choice[A]) -> Choice[A]:
    return rest if callable(rest) else lambda _key, _attributes: rest


def _everybody(flag: PublishedFlag) -> Evaluation:
    reason = Reason.DEFAULT if flag.targeting else Reason.STATIC
    rollout = flag.rollout
    if rollout is None:
        return _answer(flag, flag.served, reason)
    return _answer(flag, rollout.canary if rollout.weight else rollout.control, reason, governed=True)


def _split(flag: PublishedFlag, rollout: PublishedRollout, dress: Dress[A]) -> Choice[A]:
    canary = _answer(flag, rollout.canary, Reason.SPLIT, governed=True)
    control = _answer(flag, rollout.control, Reason.SPLIT, governed=True)
    keyless = _answer(flag, rollout.control, Reason.DEFAULT, keyless=True)
    return chooser(rollout.salt, rollout.weight, dress(canary), dress(control), dress(keyless))


def _targeted(flag: PublishedFlag, segments: Mapping[str, Matcher], dress: Dress[A], rest: Choice[A]) -> Choice[A]:
    rules = tuple(
        _rule(flag, rule, rule.name or f"#{at}", segments, dress) for at, rule in enumerate(flag.targeting.rules, 1)
    )
    choice = _ruled(rules, rest) if rules else rest
    listed = _listed(flag, dress)
    if not listed:
        return choice

    def choose(key: str | None, attributes: Mapping[str, Any]) -> A:
        found = listed.get(key) if key is not None else None
        return choice(key, attributes) if found is None else found

    return choose


def _ruled(rules: tuple[tuple[Matcher, Choice[A]], ...], rest: Choice[A]) -> Choice[A]:
    def choose(key: str | None, attributes: Mapping[str, Any]) -> A:
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
        return fits, lambda _key, _attributes: answer
    chosen = dress(_answer(flag, rule.serve, Reason.SPLIT, rule=name))
    others = dress(_answer(flag, flag.control, Reason.SPLIT, rule=name))
    keyless = dress(_answer(flag, flag.control, Reason.DEFAULT, rule=name, keyless=True))
    return fits, chooser(share_salt(flag.key), rule.weight, chosen, others, keyless)


def _anybody(_key: str | None, _attributes: Mapping[str, Any]) -> bool:
    return True


def _answer(
    flag: PublishedFlag, variant: str, reason: Reason, *, governed: bool = False, rule: str = "", keyless: bool = False
) -> Evaluation:
    return Evaluation(variant, flag.variants[variant], reason, governed, rule, keyless)
