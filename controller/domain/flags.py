"""Flags: named variants of one type, the control that the kill switch serves, and what is served to everybody else."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from controller.domain.errors import Invalid
from controller.domain.targeting import NO_TARGETING, Targeting, check_targeting

#: What a variant can be worth: the types of OpenFeature.
Value = bool | str | int | float | dict[str, object] | list[object]

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
#: Whole numbers beyond this are not exact in every language.
_MOST_NUMBER = 2**53


def checked_key(text: str, field: str) -> str:
    """A key that is safe in URLs, labels and manifests.

    Raises:
        Invalid: anything but 1 to 128 letters, digits, dots, hyphens and underscores, beginning with a letter or digit.
    """
    if not _KEY.fullmatch(text):
        raise Invalid(
            f"{text[:140]!r} is not a key: use 1 to 128 of A-Z a-z 0-9 . _ -, a letter or digit first", field=field
        )
    return text


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag as it is kept.

    Attributes:
        key: its name, unique in the environment.
        variants: value by variant name, all of one type.
        control: the variant that the kill switch and every failure serve.
        served: the variant served while no rollout is live; `promoted` sets it to the canary.
        enabled: False is the kill switch.
        targeting: who gets which variant before that, by lists and rules.
        version: grows by one with each change; a change names the version it was read at.
    """

    key: str
    variants: Mapping[str, Value]
    control: str
    served: str
    enabled: bool = True
    description: str = ""
    version: int = 1
    created_ms: int = 0
    updated_ms: int = field(default=0)
    targeting: Targeting = NO_TARGETING

    def __post_init__(self) -> None:
        checked_key(self.key, "key")
        _check_variants(self.variants)
        object.__setattr__(self, "variants", _of_one_kind(self.variants))
        for name, variant in (("control", self.control), ("served", self.served)):
            if variant not in self.variants:
                raise Invalid(f"{variant!r} is not one of the variants {', '.join(sorted(self.variants))}", field=name)
        check_targeting(self.targeting, self.variants)


def serving(flag: Flag, variant: str, now_ms: int) -> Flag:
    """The flag after a promotion: this variant for everybody, with the next version."""
    return replace(flag, served=variant, version=flag.version + 1, updated_ms=now_ms)


def _check_variants(variants: Mapping[str, Value]) -> None:
    if not 2 <= len(variants) <= 16:
        raise Invalid("give 2 to 16 variants, such as legacy=false and unified=true", field="variants")
    for name, value in variants.items():
        checked_key(name, f"variants.{name}")
        if value is None:
            raise Invalid("a variant is worth a boolean, string, number or object, not null", field=f"variants.{name}")
        if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= _MOST_NUMBER):
            raise Invalid("numbers are finite and at most 2^53, exact in every language", field=f"variants.{name}")
    if len({value_type(value) for value in variants.values()}) > 1:
        raise Invalid("all variants of a flag have one type: boolean, string, number or object", field="variants")


def _of_one_kind(variants: Mapping[str, Value]) -> Mapping[str, Value]:
    """Whole numbers beside broken ones as 1.0: typed clients ask for floats and take no 1."""
    if any(isinstance(value, float) for value in variants.values()):
        return {name: float(v) if isinstance(v, int | float) else v for name, v in variants.items()}
    return variants


def value_type(value: Value) -> str:
    """The OpenFeature type of a value: boolean, string, number or object."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    return "number" if isinstance(value, int | float) else "object"
