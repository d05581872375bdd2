"""YAML (and so JSON) documents that people write, with the line of each of their fields for error messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from controller.domain.errors import Invalid

_STEP = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was read; `lines` has the line of each path of it."""

    content: Any
    lines: dict[tuple[str, ...], int]

    def line_of(self, field: str) -> int | None:
        """The line of `stages[1].share`, or of the innermost thing around it that is there."""
        path = tuple(_STEP.findall(field))
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return None


def parse(text: str) -> Parsed:
    """Read a document.

    Raises:
        Invalid: it is no YAML, or has a key twice, of which one would be lost; the detail says where.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = dict(_lines(root, ())) if root is not None else {}
        return Parsed(yaml.safe_load(text), lines)
    except yaml.YAMLError as error:
        raise Invalid(_problem(error)) from None
    except (RecursionError, ValueError) as error:  # a loop of aliases; a date such as 2026-13-01
        raise Invalid(str(error)) from None


def written(document: object) -> str:
    """A document as people would write it, keys in their order."""
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None))


def _problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    problem = getattr(error, "problem", None) or "unexpected text"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _lines(node: yaml.Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Each path of a document with its line; a key that comes twice is an error, since one of the two is lost."""
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for at, item in enumerate(node.value):
            yield from _lines(item, (*path, str(at)))
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                twice = f"key {name!r} comes twice"
                raise yaml.constructor.ConstructorError(problem=twice, problem_mark=key.start_mark)
            seen.add(name)
            yield from _lines(value, (*path, name))
