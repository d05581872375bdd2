"""Documents from files or stdin: YAML or JSON, with the line of each of their fields for error messages."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

from controller.cli.failures import Failed
from controller.domain.errors import Invalid

T = TypeVar("T")

#: Such a document is a page of text; anything much longer is another file.
_MOST_BYTES = 1_000_000
_STEP = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True, slots=True)
class Document(Generic[T]):
    """What was read, and where it came from."""

    name: str
    content: T
    lines: dict[tuple[str, ...], int]

    def placed(self, failed: Failed, within: str = "") -> Failed:
        """A refusal of the controller, with the line of the field that it names; `within` holds the document there."""
        line = _line_of(failed.field.removeprefix(within).lstrip("."), self.lines)
        if line is None:
            return failed
        return Failed(f"{self.name}, line {line}", str(failed), code=failed.code, status=failed.status)


def read_document(name: str, read: Callable[[Any], T]) -> Document[T]:
    """The document in a file, or on stdin for `-`, as `read` makes it.

    Raises:
        Failed: it cannot be read, is no YAML, or does not fit; the message names the line and the field.
    """
    shown = "stdin" if name == "-" else name
    text = _text_of(name, shown)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = dict(_lines(root, ())) if root is not None else {}
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Failed(f"{shown} is not valid YAML", _yaml_problem(error)) from None
    except (RecursionError, ValueError) as error:  # a loop of aliases; a date such as 2026-13-01
        raise Failed(f"{shown} is not valid YAML", str(error)) from None
    try:
        content = read(document)
    except Invalid as invalid:
        field = (invalid.field or "").lstrip(".")
        line = _line_of(field, lines)
        where = shown if line is None else f"{shown}, line {line}"
        raise Failed(f"{where}: {invalid.title}", invalid.detail, field=field, code=invalid.code) from None
    return Document(shown, content, lines)


def _text_of(name: str, shown: str) -> str:
    try:
        data = sys.stdin.buffer.read(_MOST_BYTES + 1) if name == "-" else _head_of(Path(name))
        if len(data) > _MOST_BYTES:
            raise Failed(f"{shown} is too large", f"a document has at most {_MOST_BYTES:,} bytes")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise Failed(f"{shown} cannot be read", error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise Failed(f"{shown} is not UTF-8 text", str(error)) from None


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES + 1)


def _yaml_problem(error: yaml.YAMLError) -> str:
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


def _line_of(field: str, lines: dict[tuple[str, ...], int]) -> int | None:
    """The line of `stages[1].share`, or of the innermost thing around it that is there."""
    path = tuple(_STEP.findall(field))
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None
