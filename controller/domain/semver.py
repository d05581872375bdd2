"""Versions as semantic versioning orders them, for targeting by application version.

Source: semver.org 2.0.0, section 11. A leading `v` and the short forms `1` and `1.2` are taken too, since that is how
people name versions; flagd takes the same.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import lru_cache

from controller.domain.errors import Invalid

#: What makes one version comparable with another: the three numbers, then the pre-release.
Version = tuple[int, int, int, tuple[object, ...]]

_LONGEST = 256
_MOST_NUMBER = 2**53 - 1
_NUMBER = r"(?:0|[1-9][0-9]*)"
_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_FULL = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_SHORT = re.compile(rf"({_NUMBER})(?:\.({_NUMBER}))?")
_RANGE = re.compile(r"(=|!=|<=|>=|<|>|\^|~)?\s*(\S+)")
#: A release comes after each of its pre-releases.
_RELEASE: tuple[object, ...] = (1,)

_COMPARISONS: dict[str, Callable[[Version, Version], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "^": lambda found, wanted: found[0] == wanted[0],
    "~": lambda found, wanted: found[:2] == wanted[:2],
}


@lru_cache(maxsize=1024)
def parse(text: str) -> Version | None:
    """What a version is compared by; None where the text is no version. Build metadata do not count."""
    text = text.removeprefix("v") if text[:1] == "v" else text.removeprefix("V")
    if len(text) > _LONGEST:
        return None
    if full := _FULL.fullmatch(text):
        numbers, rest = full.groups()[:3], full[4]
    elif short := _SHORT.fullmatch(text):
        numbers, rest = (short[1], short[2] or "0", "0"), None
    else:
        return None
    major, minor, patch = (int(number) for number in numbers)
    if max(major, minor, patch) > _MOST_NUMBER:
        return None
    return major, minor, patch, _prerelease(rest) if rest else _RELEASE


def split_range(text: str, field: str) -> tuple[str, str]:
    """The comparison and the version of `>= 2.1.0`; without a comparison it is `=`.

    `^` stands for the same major version, `~` for the same major and minor version.

    Raises:
        Invalid: it is not of this form.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None or parse(match[2]) is None:
        raise Invalid(
            f"{text[:80]!r} is not a comparison with a version, such as '>= 2.1.0'; there are = != < <= > >= ^ ~",
            field=field,
        )
    return match[1] or "=", match[2]


def comparison(text: str) -> Callable[[str], bool]:
    """Whether a version fits a range of `split_range`; what is no version fits none."""
    sign, wanted_text = split_range(text, "semver")
    compare, wanted = _COMPARISONS[sign], parse(wanted_text)

    def fits(version: str) -> bool:
        found = parse(version) if len(version) <= _LONGEST else None
        return found is not None and wanted is not None and compare(found, wanted)

    return fits


def _prerelease(text: str) -> tuple[object, ...]:
    """Identifiers of digits come before others and compare as numbers; a longer list comes after its beginning."""
    return 0, tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in text.split("."))
