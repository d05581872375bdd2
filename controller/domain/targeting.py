"""Targeting: who gets which variant before the split, by lists of targeting keys and by rules, in this order.

What targeting decides is no evidence: hand-picked users are not like the others, so the judge would compare what
cannot be compared. A rollback withdraws the canary from them as well (`withdrawn`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from types import MappingProxyType

from controller.domain.bucketing import WHOLE
from controller.domain.conditions import LONGEST_VALUE, MOST_VALUES, Condition, check_condition, segments_in
from controller.domain.errors import Invalid

_MOST_RULES = 50
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Rule:
    """The first rule that fits decides.

    Attributes:
        serve: the variant for whoever fits.
        when: who fits; None is everybody.
        weight: the share of them, in parts of 10,000, that gets it; the others get the control. A user who has got it
            keeps getting it while the share grows.
    """

    serve: str
    when: Condition | None = None
    weight: int = WHOLE
    name: str = ""


@dataclass(frozen=True, slots=True)
class Targeting:
    """Lists first, then rules.

    Attributes:
        deny: targeting keys that get the control.
        allow: targeting keys by the variant that they get.
    """

    deny: tuple[str, ...] = ()
    allow: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    rules: tuple[Rule, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.deny or self.allow or self.rules)

    @property
    def segments(self) -> frozenset[str]:
        """The segments that its rules name."""
        return frozenset().union(*(segments_in(rule.when) for rule in self.rules if rule.when is not None))


NO_TARGETING = Targeting()


def share_salt(flag_key: str) -> str:
    """The bucket's salt of a rule's share: the same for all rules of a flag and all their shares."""
    return blake2b(flag_key.encode(), digest_size=8).hexdigest()


def withdrawn(targeting: Targeting, variants: Collection[str], control: str) -> Targeting:
    """The same targeting, with the control wherever it served one of these variants."""
    allow = {name: keys for name, keys in targeting.allow.items() if name not in variants}
    denied = [key for name, keys in targeting.allow.items() if name in variants for key in keys]
    rules = tuple(replace(r, serve=control, weight=WHOLE) if r.serve in variants else r for r in targeting.rules)
    return Targeting((*targeting.deny, *denied), allow, rules)


def check_targeting(targeting: Targeting, variants: Collection[str]) -> None:
    """Check lists and rules against the flag's variants.

    Raises:
        Invalid: a variant is unknown, a key is in two lists, a condition or a share does not fit; the error names it.
    """
    _check_lists(targeting, variants)
    if len(targeting.rules) > _MOST_RULES:
        raise Invalid(f"a flag has at most {_MOST_RULES} rules", field="targeting.rules")
    names = [rule.name for rule in targeting.rules if rule.name]
    for at, rule in enumerate(targeting.rules):
        where = f"targeting.rules[{at}]"
        _check_variant(rule.serve, variants, f"{where}.serve")
        if rule.when is not None:
            check_condition(rule.when, f"{where}.when")
        if not 0 < rule.weight <= WHOLE:
            raise Invalid("a share is more than 0% and at most 100%", field=f"{where}.share")
        if len(rule.name) > _LONGEST_NAME or (rule.name and names.count(rule.name) > 1):
            raise Invalid(
                f"a rule's name is its own and at most {_LONGEST_NAME} characters long", field=f"{where}.name"
            )


def _check_lists(targeting: Targeting, variants: Collection[str]) -> None:
    lists = {"targeting.deny": targeting.deny}
    for name, keys in targeting.allow.items():
        _check_variant(name, variants, "targeting.allow")
        lists[f"targeting.allow.{name}"] = keys
    if sum(map(len, lists.values())) > MOST_VALUES:
        raise Invalid(f"a flag lists at most {MOST_VALUES} targeting keys; use a segment", field="targeting")
    seen: set[str] = set()
    for where, keys in lists.items():
        for at, key in enumerate(keys):
            if not 0 < len(key) <= LONGEST_VALUE:
                raise Invalid(f"a targeting key has 1 to {LONGEST_VALUE} characters", field=f"{where}[{at}]")
            if key in seen:
                raise Invalid(f"{key[:80]!r} is listed twice", field=f"{where}[{at}]")
            seen.add(key)


def _check_variant(name: str, variants: Collection[str], where: str) -> None:
    if name not in variants:
        raise Invalid(f"{name[:80]!r} is not one of the variants {', '.join(sorted(variants))}", field=where)
